-- Do sessions wait for each other? One row about this database now.
--
-- lock_waiting is measured against sessions that work or wait, not against idle ones. Deadlocks are counted by
-- PostgreSQL since its statistics began, so that the difference of two rows is what happened between them.

SELECT clock_timestamp() AS sampled_at,
       count(*) FILTER (WHERE a.state = 'active')::int AS sessions,
       count(*) FILTER (WHERE a.state = 'active' AND a.wait_event_type = 'Lock')::int AS lock_waiting,
       coalesce(max(extract(epoch FROM clock_timestamp() - a.query_start))
                FILTER (WHERE a.state = 'active' AND a.wait_event_type = 'Lock'), 0)::float8 AS longest_lock_wait_seconds,
       (SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()) AS deadlocks,
       count(*)::int AS connections_used,
       current_setting('max_connections')::int AS connections_max
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.backend_type = 'client backend';
