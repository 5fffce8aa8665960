-- Is any function run stale? The first row is the verdict, the others are the function runs that live.
--
-- Parameters, with what plain psql takes when they are not set (seconds):
--   stale_cutoff    without progress for longer than this a function run is stale, whatever its heartbeat says; 900
--   restart_grace   after a start of the database no lease could be renewed for a moment; 5
\if :{?stale_cutoff} \else \set stale_cutoff 900 \endif
\if :{?restart_grace} \else \set restart_grace 5 \endif

WITH run AS (
    SELECT function_run_id, shard,
           extract(epoch FROM clock_timestamp() - heartbeat_at)::float8 AS heartbeat_age,
           extract(epoch FROM clock_timestamp() - progress_at)::float8 AS progress_age,
           extract(epoch FROM lease_until - clock_timestamp())::float8 AS lease_left,
           (lease_until < clock_timestamp()
               AND pg_postmaster_start_time() < now() - make_interval(secs => CAST(:restart_grace AS float8)))
               OR progress_at < now() - make_interval(secs => CAST(:stale_cutoff AS float8)) AS is_stale
    FROM queue_pipeline.function_run WHERE state = 'RUNNING'
)
SELECT 'stale_run' AS check_name, CASE WHEN bool_or(is_stale) THEN 'fail' ELSE 'pass' END AS verdict,
       count(*) FILTER (WHERE is_stale) AS value, 0 AS bound, NULL::bigint AS function_run_id, NULL::text AS shard,
       NULL::float8 AS heartbeat_age, NULL::float8 AS progress_age, NULL::float8 AS lease_left, NULL::boolean AS is_stale
FROM run
UNION ALL (
    SELECT 'stale_run', CASE WHEN is_stale THEN 'fail' ELSE 'pass' END, NULL, NULL, function_run_id, shard, heartbeat_age,
           progress_age, lease_left, is_stale
    FROM run ORDER BY is_stale DESC, heartbeat_age DESC LIMIT 50
);
