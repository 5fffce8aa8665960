-- How long did leads take from their message to the first notice to people? One row for each cohort; seconds.
--
-- Parameters, with what plain psql takes when they are not set:
--   canary_id      the canary whose workspaces are told apart from all others; the latest. NULL: all are `control`
--   since, until   the instants between which is counted; since the canary's window began, until now
-- Counted are deliveries accepted in the window. One of which nobody was told by its end counts with its time so far.
\if :{?canary_id} \else \set canary_id '(SELECT max(canary_id) FROM queue_pipeline.canary)' \endif
\if :{?since} \else \set since '(SELECT coalesce(max(coalesce(watching_since, started_at)), now() - interval \'1 hour\') FROM queue_pipeline.canary WHERE canary_id = (SELECT max(canary_id) FROM queue_pipeline.canary))' \endif
\if :{?until} \else \set until 'now()' \endif

WITH place AS NOT MATERIALIZED (
    SELECT l.workspace, CASE WHEN c.canary_id IS NULL THEN 'control' ELSE 'canary' END AS cohort
    FROM queue_pipeline.workspace_lane l
    LEFT JOIN queue_pipeline.canary c ON c.canary_id = CAST(:canary_id AS bigint)
        AND (l.canary_bucket < round(c.share * 100) OR l.workspace = ANY (c.allow))
), told AS MATERIALIZED (
    SELECT coalesce(p.cohort, CASE WHEN EXISTS (
               SELECT FROM queue_pipeline.canary c WHERE c.canary_id = CAST(:canary_id AS bigint)
               AND (queue_pipeline.canary_bucket_of(e.workspace) < round(c.share * 100) OR e.workspace = ANY (c.allow))) THEN 'canary' ELSE 'control' END) AS cohort,
           e.accepted_at,
           (SELECT min(n.delivered_at) FROM queue_pipeline.notification n
            WHERE n.job_id = e.job_id AND n.delivered_at <= CAST(:until AS timestamptz)) AS told_at
    FROM queue_pipeline.inbound_event e LEFT JOIN place p USING (workspace)
    WHERE e.accepted_at > CAST(:since AS timestamptz) AND e.accepted_at <= CAST(:until AS timestamptz)
), lasted AS (
    SELECT cohort, told_at, extract(epoch FROM coalesce(told_at, CAST(:until AS timestamptz)) - accepted_at)::float8 AS seconds FROM told
)
SELECT c.cohort, count(l.seconds) AS leads, count(l.seconds) FILTER (WHERE l.told_at IS NULL) AS nobody_told,
       percentile_disc(0.5) WITHIN GROUP (ORDER BY l.seconds) AS p50_seconds,
       percentile_disc(0.95) WITHIN GROUP (ORDER BY l.seconds) AS p95_seconds,
       max(l.seconds) AS max_seconds
FROM (VALUES ('canary'), ('control')) c(cohort) LEFT JOIN lasted l USING (cohort)
GROUP BY c.cohort
ORDER BY c.cohort;
