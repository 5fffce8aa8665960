-- How long did jobs wait in a window, in the canary's workspaces and in all others? One row for each cohort; seconds.
--
-- Parameters, with what plain psql takes when they are not set:
--   canary_id      the canary whose workspaces are told apart from all others; the latest. NULL: all are `control`
--   since, until   the instants between which is counted; since the canary's window began, until now
--   worse_by       a canary's wait counts as worse when it exceeds 95 % of the others' by so many seconds; 10
-- A wait is that of each job that was claimed, from when it became due, and that of each job that was due and not yet
-- claimed at the end, so far: the ones that stand still must not be missing, nor those of a workspace that was never
-- served. Percentiles are by nearest rank. The same window gives the same answer later, unless its jobs were pruned.
\if :{?canary_id} \else \set canary_id '(SELECT max(canary_id) FROM queue_pipeline.canary)' \endif
\if :{?since} \else \set since '(SELECT coalesce(max(coalesce(watching_since, started_at)), now() - interval \'1 hour\') FROM queue_pipeline.canary WHERE canary_id = (SELECT max(canary_id) FROM queue_pipeline.canary))' \endif
\if :{?until} \else \set until 'now()' \endif
\if :{?worse_by} \else \set worse_by 10 \endif

WITH place AS NOT MATERIALIZED (
    SELECT l.workspace, CASE WHEN c.canary_id IS NULL THEN 'control' ELSE 'canary' END AS cohort
    FROM queue_pipeline.workspace_lane l
    LEFT JOIN queue_pipeline.canary c ON c.canary_id = CAST(:canary_id AS bigint)
        AND (l.canary_bucket < round(c.share * 100) OR l.workspace = ANY (c.allow))
), claimed AS MATERIALIZED (
    SELECT p.cohort, extract(epoch FROM a.claimed_at - a.due_at)::float8 AS wait
    FROM queue_pipeline.job_attempt a JOIN queue_pipeline.job j USING (job_id) JOIN place p USING (workspace)
    WHERE a.finished_at > CAST(:since AS timestamptz) AND a.outcome <> 'RELEASED'
      AND a.claimed_at > CAST(:since AS timestamptz) AND a.claimed_at <= CAST(:until AS timestamptz)
    UNION ALL
    SELECT p.cohort, extract(epoch FROM j.claimed_at - j.run_at)::float8
    FROM queue_pipeline.job j JOIN place p USING (workspace)
    WHERE j.state = 'RUNNING' AND j.claimed_at > CAST(:since AS timestamptz) AND j.claimed_at <= CAST(:until AS timestamptz)
), due AS (
    SELECT job_id, workspace, run_at AS due_at FROM queue_pipeline.job WHERE state = 'PENDING' AND run_at <= CAST(:until AS timestamptz)
    UNION ALL
    SELECT job_id, workspace, run_at FROM queue_pipeline.job WHERE state = 'SCHEDULED' AND NOT parked AND run_at <= CAST(:until AS timestamptz)
    UNION ALL
    SELECT job_id, workspace, run_at FROM queue_pipeline.job
    WHERE state = 'RUNNING' AND claimed_at > CAST(:until AS timestamptz) AND run_at <= CAST(:until AS timestamptz)
    UNION ALL
    SELECT a.job_id, j.workspace, a.due_at
    FROM queue_pipeline.job_attempt a JOIN queue_pipeline.job j USING (job_id)
    WHERE a.finished_at > CAST(:until AS timestamptz) AND a.outcome <> 'RELEASED'
      AND a.claimed_at > CAST(:until AS timestamptz) AND a.due_at <= CAST(:until AS timestamptz)
), waiting AS MATERIALIZED (
    SELECT coalesce(p.cohort, CASE WHEN EXISTS (
               SELECT FROM queue_pipeline.canary c WHERE c.canary_id = CAST(:canary_id AS bigint)
               AND (queue_pipeline.canary_bucket_of(d.workspace) < round(c.share * 100) OR d.workspace = ANY (c.allow))) THEN 'canary' ELSE 'control' END) AS cohort,
           extract(epoch FROM CAST(:until AS timestamptz) - d.due_at)::float8 AS wait
    FROM (SELECT job_id, workspace, min(due_at) AS due_at FROM due GROUP BY job_id, workspace) d LEFT JOIN place p USING (workspace)
), waits AS MATERIALIZED (
    SELECT cohort, greatest(wait, 0) AS wait FROM claimed UNION ALL SELECT cohort, wait FROM waiting
), others AS (
    SELECT percentile_disc(0.95) WITHIN GROUP (ORDER BY wait) AS p95 FROM waits WHERE cohort = 'control'
)
SELECT c.cohort,
       (SELECT count(*) FROM claimed x WHERE x.cohort = c.cohort) AS claimed,
       (SELECT count(*) FROM waiting x WHERE x.cohort = c.cohort) AS still_waiting,
       (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY wait) FROM waits x WHERE x.cohort = c.cohort) AS p50_seconds,
       (SELECT percentile_disc(0.95) WITHIN GROUP (ORDER BY wait) FROM waits x WHERE x.cohort = c.cohort) AS p95_seconds,
       (SELECT max(wait) FROM waits x WHERE x.cohort = c.cohort) AS max_seconds,
       (SELECT count(*) FROM waits x, others o WHERE x.cohort = c.cohort AND x.wait > o.p95 + CAST(:worse_by AS float8)) AS worse
FROM (VALUES ('canary'), ('control')) c(cohort)
ORDER BY c.cohort;
