-- How is the queue? One row, or none: the latest health sample.
--
-- Parameters, with what plain psql takes when they are not set:
--   at   as of this instant; now
\if :{?at} \else \set at 'now()' \endif

SELECT extract(epoch FROM CAST(:at AS timestamptz) - sampled_at)::float8 AS age_seconds, verdict, pending_due, scheduled, running, dead,
       oldest_due_age_seconds, wait_p95_seconds, stale_function_runs, orphaned_windows, late_writes_refused, unknown_sends,
       needs_human, duplicate_sends
FROM queue_pipeline.health_sample WHERE sampled_at <= CAST(:at AS timestamptz)
ORDER BY sampled_at DESC LIMIT 1;
