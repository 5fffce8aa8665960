-- Capacity: what was measured, what was decided, and what is in force.
INSERT INTO control_flag (flag) VALUES ('capacity.mode');

-- What only a drain can count. `workers` is how many handlers it allows at once; `connect_wait_p95` is in seconds, over
-- the last minute.
ALTER TABLE function_run
    ADD COLUMN claims           bigint NOT NULL DEFAULT 0,
    ADD COLUMN claim_conflicts  bigint NOT NULL DEFAULT 0,
    ADD COLUMN workers          integer NOT NULL DEFAULT 0,
    ADD COLUMN connect_wait_p95 double precision;

-- The queue and its database at one instant, and what happened since the sample before. `deadlocks_total` and
-- `run_counters` (claims and conflicts of each function run) are what the next one takes its differences from.
CREATE TABLE capacity_sample (
    capacity_sample_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sampled_at               timestamptz NOT NULL,
    seconds                  double precision NOT NULL,
    arrivals                 bigint  NOT NULL,
    finished                 bigint  NOT NULL,
    failed                   bigint  NOT NULL,
    retried                  bigint  NOT NULL,
    handler_seconds          double precision NOT NULL,
    due                      bigint  NOT NULL,
    running                  bigint  NOT NULL,
    age_p95_seconds          double precision,
    workers                  integer NOT NULL,
    active_workspaces        integer NOT NULL,
    sessions                 integer NOT NULL,
    lock_waiting             integer NOT NULL,
    deadlocks                bigint  NOT NULL,
    claims                   bigint  NOT NULL,
    claim_conflicts          bigint  NOT NULL,
    connect_wait_p95_seconds double precision,
    connections_used         integer NOT NULL,
    connections_max          integer NOT NULL,
    provider_answers         bigint  NOT NULL,
    provider_throttled       bigint  NOT NULL,
    by_shard                 jsonb   NOT NULL,
    deadlocks_total          bigint  NOT NULL,
    run_counters             jsonb   NOT NULL,
    CONSTRAINT capacity_sample_covers_time CHECK (seconds > 0)
);
CREATE INDEX capacity_sample_by_time ON capacity_sample (sampled_at);

-- Every decision, also that nothing changes; `state` is what the next one needs to know.
CREATE TABLE capacity_decision (
    capacity_decision_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    decided_at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    capacity_sample_id   bigint, -- NULL: the sample could not be taken
    mode                 text    NOT NULL,
    from_workers         integer NOT NULL,
    to_workers           integer NOT NULL,
    from_in_flight       integer NOT NULL,
    to_in_flight         integer NOT NULL,
    reason_code          text    NOT NULL,
    required             integer,
    target               integer NOT NULL,
    global_target        integer NOT NULL,
    guardrails           jsonb   NOT NULL,
    operator_override    boolean NOT NULL,
    why                  text    NOT NULL CHECK (why <> ''),
    state                jsonb   NOT NULL,
    CONSTRAINT capacity_decision_mode_known CHECK (mode IN ('observe', 'enforce')),
    CONSTRAINT capacity_decision_reason_known CHECK (reason_code IN (
        'operator_override', 'guardrail_step_down', 'ramp_step', 'hold_target_reached', 'hold_ramp_window',
        'hold_no_sample', 'hold_after_step_down', 'efficiency_revert', 'step_down_idle')),
    CONSTRAINT capacity_decision_is_about_something CHECK (least(from_workers, to_workers, from_in_flight, to_in_flight) > 0)
);
CREATE INDEX capacity_decision_by_time ON capacity_decision (decided_at);
CREATE TRIGGER capacity_decision_is_append_only BEFORE UPDATE ON capacity_decision FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- What drains and dispatch obey, by the loop's decision: one row. NULL: nothing is enforced, as configured.
CREATE TABLE capacity_in_force (
    only_row      boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    workers       integer CHECK (workers > 0),
    in_flight_max integer CHECK (in_flight_max > 0),
    by_shard      jsonb       NOT NULL DEFAULT '{}',
    changed_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT capacity_in_force_is_whole CHECK ((workers IS NULL) = (in_flight_max IS NULL))
);
INSERT INTO capacity_in_force DEFAULT VALUES;

-- An operator's word against the loop's, until it is taken back or its time is over.
CREATE TABLE capacity_override (
    capacity_override_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workers              integer CHECK (workers > 0),
    in_flight_max        integer CHECK (in_flight_max > 0),
    since                timestamptz NOT NULL DEFAULT clock_timestamp(),
    until                timestamptz NOT NULL,
    who                  text        NOT NULL CHECK (who <> ''),
    why                  text        NOT NULL CHECK (why <> ''),
    ended_at             timestamptz,
    ended_by             text,
    end_reason           text,
    CONSTRAINT capacity_override_says_something CHECK (workers IS NOT NULL OR in_flight_max IS NOT NULL),
    CONSTRAINT capacity_override_end_is_told CHECK (
        (ended_at IS NULL) = (ended_by IS NULL) AND (ended_at IS NULL) = (end_reason IS NULL))
);
CREATE UNIQUE INDEX capacity_override_once ON capacity_override ((true)) WHERE ended_at IS NULL;
