-- How long has the oldest due job waited? One row: the verdict, the age in seconds, and the job.
--
-- Parameters, with what plain psql takes when they are not set (seconds):
--   queue_age_limit   a longer wait breaks the failure contract; 300
-- Due is what is pending, what is scheduled and past its time, and what a function run holds whose lease has ended. The
-- age counts from `first_due_at`, which no retry and no recovery rewrites. What is paused is not due: the jobs of paused kinds
-- and workspaces are parked, those of a paused shard are passed over here.
\if :{?queue_age_limit} \else \set queue_age_limit 300 \endif

SELECT 'queue_age' AS check_name,
       CASE WHEN coalesce(d.age, 0) > CAST(:queue_age_limit AS float8) THEN 'fail' ELSE 'pass' END AS verdict,
       greatest(0, coalesce(d.age, 0))::float8 AS value, CAST(:queue_age_limit AS float8) AS bound, d.job_id, d.kind
FROM (VALUES (1)) one(row) LEFT JOIN LATERAL (
    SELECT job_id, kind, extract(epoch FROM clock_timestamp() - first_due_at)::float8 AS age FROM (
        (SELECT j.job_id, j.kind, j.first_due_at FROM queue_pipeline.job j
         WHERE j.state = 'PENDING' AND NOT EXISTS (
             SELECT FROM queue_pipeline.pause p JOIN queue_pipeline.workspace_lane l ON l.shard = p.name
             WHERE p.scope = 'shard' AND p.ended_at IS NULL AND l.workspace = j.workspace)
         ORDER BY j.first_due_at LIMIT 1)
        UNION ALL
        (SELECT job_id, kind, first_due_at FROM queue_pipeline.job WHERE state = 'SCHEDULED' AND NOT parked AND run_at <= now()
         ORDER BY run_at LIMIT 1)
        UNION ALL
        (SELECT j.job_id, j.kind, j.first_due_at
         FROM queue_pipeline.function_run r
         JOIN queue_pipeline.job j ON j.function_run_id = r.function_run_id AND j.state = 'RUNNING'
         WHERE r.state = 'RUNNING' AND r.lease_until < now() ORDER BY j.first_due_at LIMIT 1)
    ) due
    WHERE NOT EXISTS (SELECT FROM queue_pipeline.pause WHERE scope = 'everything' AND ended_at IS NULL)
    ORDER BY first_due_at LIMIT 1
) d ON true;
