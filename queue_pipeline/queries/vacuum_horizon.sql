-- Does anything keep PostgreSQL from removing dead row versions? The first row is the verdict, the others say who, oldest first.
--
-- Parameters, with what plain psql takes when they are not set (seconds):
--   horizon_age_limit   a snapshot that is older makes every claim pass over the rows that died since; 120
-- Sessions, prepared transactions, standbys and replication slots hold it. A slot has no time: then only the transactions since
-- are known, and it fails when more than horizon_transactions have begun since; 1000000. No statement's text is read.
\if :{?horizon_age_limit} \else \set horizon_age_limit 120 \endif
\if :{?horizon_transactions} \else \set horizon_transactions 1000000 \endif

WITH held AS (
    SELECT 'session' AS holder, pid::text AS who, application_name, state,
           extract(epoch FROM clock_timestamp() - xact_start)::float8 AS age_seconds,
           greatest(age(backend_xmin), age(backend_xid))::bigint AS age_transactions
    FROM pg_stat_activity
    WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL) AND pid <> pg_backend_pid()
      AND (datname = current_database() OR backend_type = 'walsender') AND backend_type <> 'autovacuum worker'
    UNION ALL
    SELECT 'prepared transaction', owner, NULL, 'prepared', extract(epoch FROM clock_timestamp() - prepared)::float8, age(transaction)
    FROM pg_prepared_xacts WHERE database = current_database()
    UNION ALL
    SELECT 'replication slot', slot_name, NULL, CASE WHEN active THEN 'active' ELSE 'inactive' END, NULL,
           greatest(age(xmin), age(catalog_xmin))
    FROM pg_replication_slots WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL
), judged AS (
    SELECT held.*, CASE WHEN age_seconds IS NULL THEN age_transactions > CAST(:horizon_transactions AS bigint)
                        ELSE age_seconds > CAST(:horizon_age_limit AS float8) END AS is_old
    FROM held
)
SELECT 'vacuum_horizon' AS check_name, CASE WHEN bool_or(is_old) THEN 'fail' ELSE 'pass' END AS verdict,
       coalesce(max(age_seconds), 0)::float8 AS value, CAST(:horizon_age_limit AS float8) AS bound,
       NULL AS holder, NULL AS who, NULL AS application_name, NULL AS state, max(age_seconds) AS age_seconds,
       coalesce(max(age_transactions), 0) AS age_transactions
FROM judged
UNION ALL (
    SELECT 'vacuum_horizon', CASE WHEN is_old THEN 'fail' ELSE 'pass' END, NULL, NULL, holder, who, application_name, state,
           age_seconds, age_transactions
    FROM judged ORDER BY is_old DESC, age_transactions DESC LIMIT 20
);
