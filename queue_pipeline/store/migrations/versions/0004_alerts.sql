-- Alerts: one incident per thing that is wrong, with generations; what was posted about it; and when it must be posted again.

CREATE TABLE alert_incident (
    incident_id    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    dedup_key      text        NOT NULL,
    generation     integer     NOT NULL,
    kind           text        NOT NULL,
    severity       text        NOT NULL,
    status         text        NOT NULL DEFAULT 'pending',
    opened_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    fired_at       timestamptz,
    last_seen_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    healthy_since  timestamptz,
    resolved_at    timestamptz,
    observations   bigint      NOT NULL DEFAULT 1,
    evidence       jsonb       NOT NULL DEFAULT '{}',
    -- the outbox: what should be visible (wanted_seq) and what is (posted_seq)
    wanted_seq     integer     NOT NULL DEFAULT 0,
    posted_seq     integer     NOT NULL DEFAULT 0,
    next_repeat_at timestamptz,
    updated_at     timestamptz,
    channel        text,
    root_ts        text,
    posting_until  timestamptz,
    posting_by     text,
    post_failures  integer     NOT NULL DEFAULT 0,
    next_post_at   timestamptz,
    last_error     text,
    UNIQUE (dedup_key, generation),
    CONSTRAINT incident_kind_known CHECK (
        kind IN ('stale_run', 'queue_age', 'unknown_sends', 'duplicate_sends', 'rollback', 'watchdog_silent')),
    CONSTRAINT incident_severity_known CHECK (severity IN ('page', 'ticket')),
    CONSTRAINT incident_status_known CHECK (status IN ('pending', 'firing', 'resolved')),
    CONSTRAINT incident_fired_unless_pending CHECK (status = 'pending' OR fired_at IS NOT NULL OR status = 'resolved'),
    CONSTRAINT incident_resolved_has_time CHECK ((status = 'resolved') = (resolved_at IS NOT NULL)),
    CONSTRAINT incident_posts_what_is_wanted CHECK (posted_seq <= wanted_seq)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX incident_open_once ON alert_incident (dedup_key) WHERE status <> 'resolved';
CREATE INDEX incident_to_post ON alert_incident (incident_id) WHERE posted_seq < wanted_seq;
CREATE INDEX incident_by_time ON alert_incident (opened_at);

-- What is over stays over: a new breach is a new generation.
CREATE FUNCTION refuse_incident_move() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% may not go from % to %', TG_TABLE_NAME, OLD.status, NEW.status USING ERRCODE = 'check_violation';
END $$;
CREATE TRIGGER alert_incident_moves BEFORE UPDATE OF status ON alert_incident FOR EACH ROW
    WHEN (OLD.status <> NEW.status AND (OLD.status || '>' || NEW.status) NOT IN (
        'pending>firing', 'pending>resolved', 'firing>resolved'))
    EXECUTE FUNCTION refuse_incident_move();

-- Every message about an incident that reached a sink, or may have.
CREATE TABLE alert_post (
    alert_post_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id   bigint      NOT NULL REFERENCES alert_incident,
    seq           integer     NOT NULL,
    what          text        NOT NULL,
    sink          text        NOT NULL,
    outcome       text        NOT NULL,
    ts            text,
    error         text,
    posted_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT alert_post_what_known CHECK (what IN ('root', 'update', 'repeat', 'resolve')),
    CONSTRAINT alert_post_outcome_known CHECK (outcome IN ('posted', 'adopted', 'refused', 'not_sent', 'ambiguous'))
);
CREATE INDEX alert_post_of_incident ON alert_post (incident_id, seq);

-- When alerts were last evaluated: the evaluator's own dead man's switch.
CREATE TABLE alert_mark (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    evaluated_at timestamptz NOT NULL,
    evaluated_by text        NOT NULL
) WITH (fillfactor = 10);

-- A notification is posted outside any transaction, so it is leased meanwhile and retried with backoff.
ALTER TABLE notification
    ADD COLUMN kind          text NOT NULL DEFAULT 'outcome',
    ADD COLUMN posting_until timestamptz,
    ADD COLUMN posting_by    text,
    ADD COLUMN failures      integer NOT NULL DEFAULT 0,
    ADD COLUMN next_post_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD COLUMN last_error    text,
    ADD CONSTRAINT notification_kind_known CHECK (kind IN ('outcome', 'action', 'skip', 'failure'));
DROP INDEX notification_to_deliver;
CREATE INDEX notification_to_deliver ON notification (next_post_at, notification_id) WHERE delivered_at IS NULL;

ALTER TABLE health_sample
    ADD COLUMN unknown_sends   integer NOT NULL DEFAULT 0,
    ADD COLUMN duplicate_sends integer NOT NULL DEFAULT 0,
    ADD COLUMN needs_human     integer NOT NULL DEFAULT 0;
