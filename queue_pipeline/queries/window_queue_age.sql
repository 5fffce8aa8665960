-- How old was the oldest due job, over a window? One row from the health samples of each minute, about all workspaces.
--
-- Parameters, with what plain psql takes when they are not set:
--   since, until   the window; the last hour
-- A sample that is missing counts as one that was too old, as soon as more than a tenth of them are. The percentile is by
-- nearest rank, and NULL when it falls on a missing sample or there is none at all: then it was not measured.
\if :{?since} \else \set since 'now() - interval \'1 hour\'' \endif
\if :{?until} \else \set until 'now()' \endif

WITH sample AS (
    SELECT oldest_due_age_seconds AS age FROM queue_pipeline.health_sample
    WHERE sampled_at > CAST(:since AS timestamptz) AND sampled_at <= CAST(:until AS timestamptz)
), counted AS (
    SELECT count(*) AS samples, max(age) AS oldest,
           floor(extract(epoch FROM CAST(:until AS timestamptz) - CAST(:since AS timestamptz)) / 60)::bigint AS expected
    FROM sample
), lacking AS (
    SELECT greatest(0, ceil(0.9 * expected)::bigint - samples) AS missing FROM counted
), ages AS (
    SELECT age FROM sample UNION ALL SELECT 'Infinity'::float8 FROM lacking, generate_series(1, missing)
)
SELECT c.samples, c.expected, l.missing, nullif(percentile_disc(0.95) WITHIN GROUP (ORDER BY a.age), 'Infinity') AS p95_seconds,
       c.oldest AS max_seconds
FROM counted c CROSS JOIN lacking l LEFT JOIN ages a ON true
GROUP BY c.samples, c.expected, l.missing, c.oldest;
