-- What do the samples of a canary's window say? One row for each cohort: the numbers that its verdict is made of.
--
-- Parameters, with what plain psql takes when they are not set:
--   canary_id   the canary; the latest
--   until       samples up to this instant; now
-- Only samples of the window count, not those of the warm-up, of a hold, or after it; a duplicate counts whenever it was seen.
-- expected is how many samples there should be by then. Missing ones count as too old as soon as the contract is not met.
-- p95 is by nearest rank, and NULL when it was not measured.
\if :{?canary_id} \else \set canary_id '(SELECT max(canary_id) FROM queue_pipeline.canary)' \endif
\if :{?until} \else \set until 'now()' \endif

WITH plan AS (
    SELECT c.canary_id, c.window_seconds, c.samples_min, c.held_seconds, c.watching_since,
           CASE WHEN c.window_seconds >= 600 THEN 60.0 ELSE greatest(5.0, c.window_seconds / 60.0) END AS every,
           least(CAST(:until AS timestamptz), c.held_since,
                 (SELECT min(e.at) FROM queue_pipeline.canary_event e WHERE e.canary_id = c.canary_id
                  AND e.to_state IN ('COMPLETE', 'ABORTED', 'ROLLED_BACK'))) AS ends_at
    FROM queue_pipeline.canary c WHERE c.canary_id = CAST(:canary_id AS bigint)
), cohort AS (
    SELECT p.*, name AS cohort,
           floor(least(p.window_seconds, greatest(0, coalesce(extract(epoch FROM p.ends_at - p.watching_since), 0) - p.held_seconds))
                 / p.every)::bigint AS expected
    FROM plan p CROSS JOIN (VALUES ('canary'), ('control')) v(name)
), sample AS (
    SELECT s.* FROM queue_pipeline.canary_sample s JOIN plan p USING (canary_id)
    WHERE s.phase = 'WATCHING' AND s.sampled_at <= CAST(:until AS timestamptz)
), counted AS (
    SELECT c.cohort, c.expected, c.samples_min, count(s.sampled_at) AS samples, max(s.oldest_due_age_seconds) AS oldest,
           coalesce(sum(s.started_jobs), 0)::bigint AS started_jobs, coalesce(sum(s.finished_jobs), 0)::bigint AS finished_jobs,
           coalesce(sum(s.failed_jobs), 0)::bigint AS failed_jobs,
           coalesce(sum(s.late_writes_refused), 0)::bigint AS late_writes_refused,
           coalesce(sum(s.recoveries), 0)::bigint AS recoveries
    FROM cohort c LEFT JOIN sample s USING (cohort) GROUP BY c.cohort, c.expected, c.samples_min
), ages AS (
    SELECT cohort, oldest_due_age_seconds AS age FROM sample
    UNION ALL
    SELECT cohort, 'Infinity'::float8 FROM counted, generate_series(1, least(expected, samples_min) - samples)
)
SELECT c.cohort, c.samples, c.expected, greatest(0, c.expected - c.samples) AS missing,
       (SELECT nullif(percentile_disc(0.95) WITHIN GROUP (ORDER BY a.age), 'Infinity') FROM ages a WHERE a.cohort = c.cohort)
           AS queue_age_p95_seconds,
       c.oldest AS queue_age_max_seconds, c.started_jobs, c.finished_jobs, c.failed_jobs, c.late_writes_refused, c.recoveries,
       (SELECT coalesce(max(d.duplicate_sends), 0) FROM queue_pipeline.canary_sample d JOIN plan USING (canary_id)
        WHERE d.cohort = c.cohort AND d.sampled_at <= CAST(:until AS timestamptz)) AS duplicate_sends
FROM counted c
ORDER BY c.cohort;
