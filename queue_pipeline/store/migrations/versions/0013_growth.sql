-- Growth: what is old goes in batches, each row at the price of its own indexes.

-- Successions are chains without an end: the ids of a run's successor, and of what a window succeeds, stay as evidence when
-- the row that they name is gone. A window and the run that took it go together, and their references stay checked.
ALTER TABLE dispatch_window
    DROP CONSTRAINT dispatch_window_succeeds_run_id_fkey,
    DROP CONSTRAINT dispatch_window_replaces_window_id_fkey;
ALTER TABLE function_run DROP CONSTRAINT function_run_successor_window_id_fkey;

-- A snapshot that somebody holds, and dead rows that pile up, are a kind of incident.
ALTER TABLE alert_incident DROP CONSTRAINT incident_kind_known, ADD CONSTRAINT incident_kind_known CHECK (
    kind IN ('stale_run', 'queue_age', 'unknown_sends', 'duplicate_sends', 'rollback', 'watchdog_silent', 'starvation', 'paused',
             'vacuum_held'));

-- Read by the check of a deleted window, and by the order in which what is old goes.
CREATE INDEX function_run_of_window ON function_run (window_id) WHERE window_id IS NOT NULL;
CREATE INDEX window_by_end ON dispatch_window (closed_at) WHERE closed_at IS NOT NULL;
CREATE INDEX notification_by_delivery ON notification (delivered_at) WHERE delivered_at IS NOT NULL;
