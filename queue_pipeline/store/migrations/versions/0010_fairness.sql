-- Fairness: pauses, ageing of priorities, and when a lane was served last.

-- Since when a lane is ready, and when a claim last took a job of it: what the starvation alarm looks at.
-- A paused lane is never ready, so that claims pass it without looking at it.
ALTER TABLE workspace_lane
    ADD COLUMN paused boolean NOT NULL DEFAULT false,
    ADD COLUMN ready_at timestamptz,
    ADD COLUMN served_at timestamptz,
    ADD CONSTRAINT lane_paused_is_not_ready CHECK (NOT (ready AND paused));

-- A job of a paused kind or workspace is taken out of the way when a claim or a look meets it: it is SCHEDULED and
-- parked, and keeps its place (`run_at`, `first_due_at`) for the day on which the pause ends.
ALTER TABLE job
    ADD COLUMN parked boolean NOT NULL DEFAULT false,
    ADD CONSTRAINT job_parked_is_scheduled CHECK (NOT parked OR state = 'SCHEDULED') NOT VALID;
DROP INDEX job_next_to_promote;
CREATE INDEX job_next_to_promote ON job (run_at) WHERE state = 'SCHEDULED' AND NOT parked;
CREATE INDEX job_parked_in_lane ON job (workspace) WHERE parked;
CREATE INDEX job_parked_of_kind ON job (kind) WHERE parked;

-- Priorities age: one step of priority is worth half a minute of waiting, so that the order of two jobs never changes
-- and an index can hold it. Operators on built-in types only: the planner sees through them.
DROP INDEX job_next_in_lane;
CREATE INDEX job_next_in_lane ON job
    (workspace, ((run_at - '2000-01-01 00:00:00+00'::timestamptz) + priority::float8 * '30 seconds'::interval), job_id)
    WHERE state = 'PENDING';

ALTER TABLE health_sample
    ADD COLUMN parked bigint NOT NULL DEFAULT 0,
    ADD COLUMN starved_workspaces integer NOT NULL DEFAULT 0,
    ADD COLUMN longest_unserved_seconds double precision NOT NULL DEFAULT 0;

-- What is paused, by whom and why. It ends by hand, or by itself at `until`.
CREATE TABLE pause (
    pause_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    scope      text        NOT NULL,
    name       text        NOT NULL,
    since      timestamptz NOT NULL DEFAULT clock_timestamp(),
    until      timestamptz,
    who        text        NOT NULL CHECK (who <> ''),
    why        text        NOT NULL CHECK (why <> ''),
    ended_at   timestamptz,
    ended_by   text,
    end_reason text,
    released_at timestamptz, -- nothing that it had parked is parked any more
    CONSTRAINT pause_scope_known CHECK (scope IN ('everything', 'shard', 'workspace', 'kind')),
    CONSTRAINT pause_names_what CHECK ((scope = 'everything') = (name = '')),
    CONSTRAINT pause_end_is_told CHECK ((ended_at IS NULL) = (ended_by IS NULL) AND (ended_at IS NULL) = (end_reason IS NULL))
);
CREATE INDEX pause_to_release ON pause (pause_id) WHERE ended_at IS NOT NULL AND released_at IS NULL;
CREATE UNIQUE INDEX pause_once ON pause (scope, name) WHERE ended_at IS NULL;

ALTER TABLE alert_incident DROP CONSTRAINT incident_kind_known, ADD CONSTRAINT incident_kind_known CHECK (
    kind IN ('stale_run', 'queue_age', 'unknown_sends', 'duplicate_sends', 'rollback', 'watchdog_silent', 'starvation', 'paused'));

-- How many jobs of each workspace are claimed now. Being VOLATILE it looks with a snapshot of its own, younger than the locks
-- that its caller holds on these lanes, so that no other claim of them can be missed.
CREATE FUNCTION jobs_in_flight(of_workspaces text[]) RETURNS TABLE (workspace text, jobs bigint) LANGUAGE plpgsql VOLATILE ROWS 20 AS $$
BEGIN
    RETURN QUERY SELECT w.name, (SELECT count(*) FROM job r WHERE r.workspace = w.name AND r.state = 'RUNNING')
                 FROM unnest(of_workspaces) AS w(name);
END $$;
