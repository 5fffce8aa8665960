-- Did sessions wait for each other in a canary's window? One row over the samples of the database that are taken with the
-- canary's own, from the last one before its window on, so that deadlocks of the first minute count.
--
-- Parameters, with what plain psql takes when they are not set:
--   canary_id   the canary; the latest
--   until       samples up to this instant; now
-- high: more than a tenth of the active sessions waited for locks. in_a_row: so did they in the sample before.
\if :{?canary_id} \else \set canary_id '(SELECT max(canary_id) FROM queue_pipeline.canary)' \endif
\if :{?until} \else \set until 'now()' \endif

WITH sample AS (
    SELECT t.*, s.phase FROM queue_pipeline.contention_sample t JOIN queue_pipeline.canary_sample s USING (sampled_at)
    WHERE s.canary_id = CAST(:canary_id AS bigint) AND s.cohort = 'canary' AND t.sampled_at <= CAST(:until AS timestamptz)
), bounds AS (
    SELECT min(sampled_at) AS first_at, max(sampled_at) AS last_at FROM sample WHERE phase = 'WATCHING'
), counted AS (
    SELECT s.*, s.lock_waiting > 0.1 * s.sessions AS high,
           lag(s.lock_waiting > 0.1 * s.sessions, 1, false) OVER (ORDER BY s.sampled_at) AS high_before
    FROM sample s JOIN bounds b ON s.sampled_at <= b.last_at
        AND s.sampled_at >= coalesce((SELECT max(e.sampled_at) FROM sample e WHERE e.sampled_at < b.first_at), b.first_at)
)
SELECT count(*) AS samples, count(*) FILTER (WHERE high) AS high, count(*) FILTER (WHERE high AND high_before) AS in_a_row,
       coalesce((array_agg(deadlocks ORDER BY sampled_at DESC))[1] - (array_agg(deadlocks ORDER BY sampled_at))[1], 0) AS deadlocks,
       max(longest_lock_wait_seconds) AS longest_lock_wait_seconds, max(connections_used) AS connections_peak,
       max(connections_max) AS connections_max
FROM counted;
