-- How do the canary's workspaces fare beside all others? One row for each cohort, of what happened since an instant.
--
-- Parameters, with what plain psql takes when they are not set:
--   canary_below, canary_allow   who is in the canary: buckets below this number, and these workspaces; of the open canary
--   since                        count what happened after this instant; a minute ago
--   duplicates_since             duplicate sends of which one was heard of after this instant; a day ago
-- A wait is that of each job that started since then, and that so far of each job that still waits: the ones that
-- stand still must not be missing. At most the 50,000 oldest of each cohort are read.
\if :{?since} \else \set since 'now() - interval \'1 minute\'' \endif
\if :{?duplicates_since} \else \set duplicates_since 'now() - interval \'1 day\'' \endif
\if :{?canary_below} \else \set canary_below '(SELECT coalesce(max(share * 100), 0)::int FROM queue_pipeline.canary WHERE ended_at IS NULL)' \endif
\if :{?canary_allow} \else \set canary_allow 'coalesce((SELECT allow FROM queue_pipeline.canary WHERE ended_at IS NULL), \'{}\'::text[])' \endif

WITH place AS NOT MATERIALIZED (
    SELECT workspace,
           CASE WHEN canary_bucket < CAST(:canary_below AS integer) OR workspace = ANY (CAST(:canary_allow AS text[])) THEN 'canary' ELSE 'control' END AS cohort
    FROM queue_pipeline.workspace_lane
), due AS NOT MATERIALIZED (
    SELECT j.first_due_at, coalesce(l.canary_bucket, queue_pipeline.canary_bucket_of(j.workspace)) < CAST(:canary_below AS integer)
           OR j.workspace = ANY (CAST(:canary_allow AS text[])) AS is_in
    FROM queue_pipeline.job j LEFT JOIN queue_pipeline.workspace_lane l USING (workspace) WHERE j.state = 'PENDING'
), not_promoted AS (
    SELECT workspace, first_due_at FROM queue_pipeline.job WHERE state = 'SCHEDULED' AND NOT parked AND run_at <= now() ORDER BY run_at LIMIT 50000
), waiting AS MATERIALIZED (
    SELECT cohort, extract(epoch FROM now() - first_due_at)::float8 AS age FROM (
        (SELECT 'canary' AS cohort, first_due_at FROM due WHERE is_in ORDER BY first_due_at LIMIT 50000)
        UNION ALL
        (SELECT 'control', first_due_at FROM due WHERE NOT is_in ORDER BY first_due_at LIMIT 50000)
        UNION ALL
        SELECT p.cohort, n.first_due_at FROM not_promoted n JOIN place p USING (workspace)
    ) every_due
), held AS (
    SELECT p.cohort, extract(epoch FROM now() - j.first_due_at)::float8 AS age
    FROM queue_pipeline.function_run r
    JOIN queue_pipeline.job j ON j.function_run_id = r.function_run_id AND j.state = 'RUNNING'
    JOIN place p USING (workspace)
    WHERE r.state = 'RUNNING' AND r.lease_until < now()
), ended AS MATERIALIZED (
    SELECT p.cohort, a.outcome, a.claimed_at, a.finished_at <= now() AS by_now, extract(epoch FROM a.claimed_at - a.due_at)::float8 AS waited
    FROM queue_pipeline.job_attempt a JOIN queue_pipeline.job j USING (job_id) JOIN place p USING (workspace)
    WHERE a.finished_at > CAST(:since AS timestamptz)
), started AS (
    SELECT cohort, waited FROM ended WHERE claimed_at > CAST(:since AS timestamptz) AND claimed_at <= now() AND outcome <> 'RELEASED'
    UNION ALL
    SELECT p.cohort, extract(epoch FROM j.claimed_at - j.run_at)::float8
    FROM queue_pipeline.job j JOIN place p USING (workspace) WHERE j.state = 'RUNNING' AND j.claimed_at > CAST(:since AS timestamptz) AND j.claimed_at <= now()
), waits AS (
    SELECT cohort, percentile_disc(0.95) WITHIN GROUP (ORDER BY wait) AS p95
    FROM (SELECT cohort, waited AS wait FROM started UNION ALL SELECT cohort, age FROM waiting) every_wait GROUP BY cohort
), late AS (
    SELECT p.cohort, count(*) AS refused
    FROM queue_pipeline.late_write w JOIN queue_pipeline.job j USING (job_id) JOIN place p USING (workspace)
    WHERE w.refused_at > CAST(:since AS timestamptz) AND w.refused_at <= now() GROUP BY p.cohort
), twice AS (
    SELECT p.cohort, count(*) AS keys FROM (
        SELECT o.workspace FROM queue_pipeline.provider_message m JOIN queue_pipeline.outbound_message o USING (outbound_message_id)
        WHERE m.direction = 'outbound' AND m.author NOT IN ('person', 'lead')
          AND o.outbound_message_id IN (
              SELECT outbound_message_id FROM queue_pipeline.provider_message
              WHERE first_seen_at > CAST(:duplicates_since AS timestamptz) AND outbound_message_id IS NOT NULL)
        GROUP BY o.outbound_message_id, o.workspace
        HAVING count(DISTINCT (m.provider, m.account, m.provider_message_id)) > 1) k
    JOIN place p USING (workspace) GROUP BY p.cohort
)
SELECT c.cohort, now() AS sampled_at,
       (SELECT count(*) FROM place p WHERE p.cohort = c.cohort)::int AS workspaces,
       (SELECT count(*) FROM waiting w WHERE w.cohort = c.cohort) AS pending_due,
       coalesce((SELECT max(age) FROM (SELECT * FROM waiting UNION ALL SELECT * FROM held) w WHERE w.cohort = c.cohort), 0)
           AS oldest_due_age_seconds,
       (SELECT count(*) FROM started s WHERE s.cohort = c.cohort) AS started_jobs,
       (SELECT count(*) FROM ended e WHERE e.cohort = c.cohort AND e.by_now AND e.outcome NOT IN ('SNOOZED', 'CANCELLED', 'RELEASED'))
           AS finished_jobs,
       (SELECT count(*) FROM ended e WHERE e.cohort = c.cohort AND e.by_now AND e.outcome IN ('FAILED', 'RETRY', 'TIMED_OUT', 'LOST'))
           AS failed_jobs,
       (SELECT p95 FROM waits w WHERE w.cohort = c.cohort) AS wait_p95_seconds,
       coalesce((SELECT refused FROM late l WHERE l.cohort = c.cohort), 0) AS late_writes_refused,
       (SELECT count(*) FROM ended e WHERE e.cohort = c.cohort AND e.by_now AND e.outcome = 'LOST') AS recoveries,
       coalesce((SELECT keys FROM twice t WHERE t.cohort = c.cohort), 0) AS duplicate_sends
FROM (VALUES ('canary'), ('control')) c(cohort)
ORDER BY c.cohort;
