-- Does autovacuum keep up? One row for each table in which a claim may meet dead rows, and one for the age of transaction ids.
--
-- Parameters, with what plain psql takes when they are not set:
--   dead_rows_limit          dead rows of a table that are too many, when they are also more than half of those that live; 500000
--   transaction_age_limit    transactions since the oldest row that is not frozen; 500000000
-- Counts are PostgreSQL's own estimates. A database stops taking writes at 2147 million transactions.
\if :{?dead_rows_limit} \else \set dead_rows_limit 500000 \endif
\if :{?transaction_age_limit} \else \set transaction_age_limit 500000000 \endif

SELECT 'dead_rows' AS check_name,
       CASE WHEN n_dead_tup > CAST(:dead_rows_limit AS bigint) AND n_dead_tup > n_live_tup / 2 THEN 'fail' ELSE 'pass' END AS verdict,
       n_dead_tup AS value, CAST(:dead_rows_limit AS bigint) AS bound, relname::text AS subject, n_live_tup AS live_rows,
       extract(epoch FROM clock_timestamp() - greatest(last_autovacuum, last_vacuum))::float8 AS vacuumed_seconds_ago
FROM pg_stat_user_tables
WHERE schemaname = 'queue_pipeline'
  AND relname IN ('job', 'workspace_lane', 'lane_wake', 'job_attempt', 'function_run', 'dispatch_window', 'outbound_message')
UNION ALL
SELECT 'transaction_age',
       CASE WHEN greatest(age(datfrozenxid), mxid_age(datminmxid)) > CAST(:transaction_age_limit AS bigint) THEN 'fail' ELSE 'pass' END,
       greatest(age(datfrozenxid), mxid_age(datminmxid))::bigint, CAST(:transaction_age_limit AS bigint), 'transaction ids', NULL, NULL
FROM pg_database WHERE datname = current_database()
ORDER BY verdict, value DESC;
