-- How did attempts end in a window, in the canary's workspaces and in all others? One row for each cohort.
--
-- Parameters, with what plain psql takes when they are not set:
--   canary_id      the canary whose workspaces are told apart from all others; the latest. NULL: all are `control`
--   since, until   the instants between which is counted; since the canary's window began, until now
-- An attempt failed when it failed for good, is retried, timed out, or was lost with its function run. Snoozed, cancelled
-- and released ones count for nothing.
\if :{?canary_id} \else \set canary_id '(SELECT max(canary_id) FROM queue_pipeline.canary)' \endif
\if :{?since} \else \set since '(SELECT coalesce(max(coalesce(watching_since, started_at)), now() - interval \'1 hour\') FROM queue_pipeline.canary WHERE canary_id = (SELECT max(canary_id) FROM queue_pipeline.canary))' \endif
\if :{?until} \else \set until 'now()' \endif

WITH place AS NOT MATERIALIZED (
    SELECT l.workspace, CASE WHEN c.canary_id IS NULL THEN 'control' ELSE 'canary' END AS cohort
    FROM queue_pipeline.workspace_lane l
    LEFT JOIN queue_pipeline.canary c ON c.canary_id = CAST(:canary_id AS bigint)
        AND (l.canary_bucket < round(c.share * 100) OR l.workspace = ANY (c.allow))
), ended AS MATERIALIZED (
    SELECT p.cohort, a.outcome
    FROM queue_pipeline.job_attempt a JOIN queue_pipeline.job j USING (job_id) JOIN place p USING (workspace)
    WHERE a.finished_at > CAST(:since AS timestamptz) AND a.finished_at <= CAST(:until AS timestamptz)
), late AS (
    SELECT p.cohort, count(*) AS refused
    FROM queue_pipeline.late_write w JOIN queue_pipeline.job j USING (job_id) JOIN place p USING (workspace)
    WHERE w.refused_at > CAST(:since AS timestamptz) AND w.refused_at <= CAST(:until AS timestamptz) GROUP BY p.cohort
)
SELECT c.cohort,
       count(e.outcome) FILTER (WHERE e.outcome NOT IN ('SNOOZED', 'CANCELLED', 'RELEASED')) AS finished,
       count(e.outcome) FILTER (WHERE e.outcome IN ('FAILED', 'RETRY', 'TIMED_OUT', 'LOST')) AS failed,
       count(e.outcome) FILTER (WHERE e.outcome = 'LOST') AS recoveries,
       coalesce((SELECT refused FROM late l WHERE l.cohort = c.cohort), 0) AS late_writes_refused
FROM (VALUES ('canary'), ('control')) c(cohort) LEFT JOIN ended e USING (cohort)
GROUP BY c.cohort
ORDER BY c.cohort;
