-- Replays: the verdict over a manifest, with the whole artifact behind it. One row for each end; a replay that could not be
-- measured and was resumed has a second row under the same run_id.
CREATE TABLE replay_run (
    replay_run_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id          text        NOT NULL,
    created_at      timestamptz NOT NULL,
    recorded_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    manifest_id     text        NOT NULL,
    manifest_sha256 text        NOT NULL,
    verdict         text        NOT NULL,
    exit_code       integer     NOT NULL,
    summary         jsonb       NOT NULL,
    artifact        jsonb       NOT NULL,
    artifact_sha256 text        NOT NULL,
    who             text        NOT NULL,
    UNIQUE (run_id, artifact_sha256),
    CONSTRAINT replay_run_verdict_is_its_exit_code CHECK (
        (verdict, exit_code) IN (('pass', 0), ('fail', 1), ('unmeasured', 2))),
    CONSTRAINT replay_run_is_hashed CHECK (manifest_sha256 ~ '^[0-9a-f]{64}$' AND artifact_sha256 ~ '^[0-9a-f]{64}$'),
    CONSTRAINT replay_run_is_signed CHECK (who <> '' AND run_id <> '' AND manifest_id <> '')
);
CREATE INDEX replay_run_by_manifest ON replay_run (manifest_id, replay_run_id);
CREATE TRIGGER replay_run_is_append_only BEFORE UPDATE ON replay_run FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- A manifest of ids names threads.
CREATE INDEX inbound_by_thread ON inbound_event (thread_id) WHERE thread_id IS NOT NULL;
