-- Rollouts: canaries, what was measured of them, rollbacks, evidence packets and decisions.

-- More flags. The row of a flag exists before its first flip, so that those who rely on it can lock it.
INSERT INTO control_flag (flag) VALUES ('drain.parallel'), ('recovery.mode'), ('rollback.mode');

-- Where a workspace falls, from 0 to 9999: the same for ever, on every machine (domain.canary.bucket_of says the same).
CREATE FUNCTION canary_bucket_of(workspace text) RETURNS smallint LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN ((('x' || substr(md5('canary:' || workspace), 1, 7))::bit(28)::integer) % 10000)::smallint;
ALTER TABLE workspace_lane ADD COLUMN canary_bucket smallint NOT NULL GENERATED ALWAYS AS (canary_bucket_of(workspace)) STORED;

-- What recovery would have done while recovery.mode was observe; once per finding.
CREATE TABLE recovery_observation (
    finding_key   text PRIMARY KEY,
    observed_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    last_seen_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    observed_by   text        NOT NULL,
    signal        text        NOT NULL,
    shard         text,
    function_run_id bigint,
    window_id     bigint,
    job_id        bigint,
    would         text        NOT NULL
);
CREATE INDEX recovery_observation_by_time ON recovery_observation (last_seen_at);

-- One canary: candidate values of flags for some workspaces, beside all others, for a while.
CREATE TABLE canary (
    canary_id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    state           text        NOT NULL DEFAULT 'WARMING',
    candidate       jsonb       NOT NULL, -- {flag: value}
    share           numeric(5,2) NOT NULL,
    allow           text[]      NOT NULL DEFAULT '{}',
    warm_up_seconds integer     NOT NULL,
    window_seconds  integer     NOT NULL,
    samples_min     integer     NOT NULL,
    started_min     integer     NOT NULL,
    started_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_by      text        NOT NULL CHECK (started_by <> ''),
    why             text        NOT NULL CHECK (why <> ''),
    watching_since  timestamptz,
    held_since      timestamptz,
    held_seconds    double precision NOT NULL DEFAULT 0, -- earlier holds, together; they do not count into the window
    ended_at        timestamptz,
    ended_by        text,
    end_reason      text,
    CONSTRAINT canary_state_known CHECK (state IN ('WARMING', 'WATCHING', 'HELD', 'COMPLETE', 'PROMOTED', 'ABORTED', 'ROLLED_BACK')),
    CONSTRAINT canary_has_candidate CHECK (jsonb_typeof(candidate) = 'object' AND candidate <> '{}'),
    CONSTRAINT canary_share_in_range CHECK (share BETWEEN 0 AND 100),
    CONSTRAINT canary_has_workspaces CHECK (share > 0 OR cardinality(allow) > 0),
    CONSTRAINT canary_ended_iff_final CHECK ((state IN ('PROMOTED', 'ABORTED', 'ROLLED_BACK')) = (ended_at IS NOT NULL)),
    CONSTRAINT canary_end_is_told CHECK ((ended_at IS NULL) = (ended_by IS NULL) AND (ended_at IS NULL) = (end_reason IS NULL)),
    CONSTRAINT canary_held_iff CHECK ((state = 'HELD') = (held_since IS NOT NULL))
);
CREATE UNIQUE INDEX canary_one_at_a_time ON canary ((true)) WHERE ended_at IS NULL;
CREATE TRIGGER canary_moves BEFORE UPDATE OF state ON canary FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND (OLD.state || '>' || NEW.state) NOT IN (
        'WARMING>WATCHING', 'WARMING>HELD', 'WARMING>ABORTED', 'WARMING>ROLLED_BACK',
        'WATCHING>HELD', 'WATCHING>COMPLETE', 'WATCHING>ABORTED', 'WATCHING>ROLLED_BACK',
        'HELD>WARMING', 'HELD>WATCHING', 'HELD>ABORTED', 'HELD>ROLLED_BACK',
        'COMPLETE>PROMOTED', 'COMPLETE>ABORTED', 'COMPLETE>ROLLED_BACK'))
    EXECUTE FUNCTION refuse_move();

CREATE TABLE canary_event (
    canary_event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    canary_id  bigint      NOT NULL REFERENCES canary,
    at         timestamptz NOT NULL DEFAULT clock_timestamp(),
    from_state text,
    to_state   text        NOT NULL,
    who        text        NOT NULL CHECK (who <> ''),
    why        text        NOT NULL CHECK (why <> '')
);
CREATE INDEX canary_event_of_canary ON canary_event (canary_id, canary_event_id);
CREATE TRIGGER canary_event_is_append_only BEFORE UPDATE ON canary_event FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Each minute, for the canary's workspaces and for all others: the same numbers, at the same instant.
CREATE TABLE canary_sample (
    canary_id      bigint      NOT NULL REFERENCES canary,
    cohort         text        NOT NULL CHECK (cohort IN ('canary', 'control')),
    sampled_at     timestamptz NOT NULL,
    phase          text        NOT NULL CHECK (phase IN ('WARMING', 'WATCHING', 'HELD', 'COMPLETE')),
    workspaces     integer     NOT NULL,
    pending_due    bigint      NOT NULL,
    oldest_due_age_seconds double precision NOT NULL,
    started_jobs   bigint      NOT NULL,
    finished_jobs  bigint      NOT NULL,
    failed_jobs    bigint      NOT NULL,
    wait_p95_seconds double precision,
    late_writes_refused bigint NOT NULL,
    recoveries     bigint      NOT NULL,
    duplicate_sends bigint     NOT NULL,
    PRIMARY KEY (canary_id, sampled_at, cohort)
);

-- The database at the same instants; it is shared by both cohorts.
CREATE TABLE contention_sample (
    sampled_at      timestamptz PRIMARY KEY,
    sessions        integer     NOT NULL,
    lock_waiting    integer     NOT NULL,
    longest_lock_wait_seconds double precision NOT NULL,
    deadlocks       bigint      NOT NULL, -- since the statistics were reset; the difference counts
    connections_used integer    NOT NULL,
    connections_max integer     NOT NULL
);

-- Each time the rules said "back", whether it was done (enforce) or only told (observe).
CREATE TABLE rollback (
    rollback_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    canary_id    bigint      NOT NULL REFERENCES canary,
    decided_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    mode         text        NOT NULL CHECK (mode IN ('observe', 'enforce')),
    rule         text        NOT NULL,
    why          text        NOT NULL CHECK (why <> ''),
    numbers      jsonb       NOT NULL DEFAULT '{}',
    changes      jsonb       NOT NULL DEFAULT '[]', -- [{flag, from_value, to_value}]
    acknowledged_at timestamptz,
    acknowledged_by text,
    undone_at    timestamptz,
    undone_by    text,
    UNIQUE (canary_id, rule, mode)
);

-- What was known when somebody asked "is it safe?": found again by the hash of its content.
CREATE TABLE evidence_packet (
    sha256     text PRIMARY KEY CHECK (sha256 ~ '^[0-9a-f]{64}$'),
    canary_id  bigint REFERENCES canary,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    verdict    text        NOT NULL CHECK (verdict IN ('GO', 'NO-GO', 'INCONCLUSIVE')),
    document   jsonb       NOT NULL,
    markdown   text        NOT NULL,
    png        bytea       NOT NULL
);
CREATE INDEX evidence_packet_by_time ON evidence_packet (created_at);
CREATE TRIGGER evidence_packet_is_append_only BEFORE UPDATE ON evidence_packet FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TABLE rollout_decision (
    rollout_decision_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    canary_id     bigint REFERENCES canary,
    packet_sha256 text        NOT NULL REFERENCES evidence_packet,
    decided_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    verdict       text        NOT NULL CHECK (verdict IN ('GO', 'NO-GO', 'INCONCLUSIVE')),
    reasons       jsonb       NOT NULL
);
CREATE TRIGGER rollout_decision_is_append_only BEFORE UPDATE ON rollout_decision FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- A breach that was forced on purpose, and whether it reached the sink: the proof of the alert path.
CREATE TABLE alert_proof (
    alert_proof_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text        NOT NULL,
    incident_id  bigint      NOT NULL,
    forced_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    forced_by    text        NOT NULL,
    reached_at   timestamptz NOT NULL,
    sink         text        NOT NULL,
    ts           text        NOT NULL,
    seen_by_reading_back boolean NOT NULL
);
CREATE INDEX alert_proof_by_time ON alert_proof (forced_at);
