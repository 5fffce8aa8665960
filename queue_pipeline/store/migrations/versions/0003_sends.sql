-- Sends: every attempt on record, what providers say kept apart from what we meant, and switches with their history.

ALTER TABLE outbound_message
    ADD COLUMN trigger_key     text,
    ADD COLUMN account         text NOT NULL DEFAULT 'embedded',
    ADD COLUMN subject         text NOT NULL DEFAULT '',
    ADD COLUMN in_reply_to     text,
    ADD COLUMN lead_id         bigint REFERENCES lead,
    ADD COLUMN draft_id        bigint REFERENCES draft,
    ADD COLUMN body_norm_sha256 text,
    ADD COLUMN attempt         integer NOT NULL DEFAULT 0,
    ADD COLUMN not_before      timestamptz,
    ADD COLUMN deadline_at     timestamptz,
    ADD COLUMN unknown_since   timestamptz,
    ADD COLUMN first_sending_at timestamptz,
    ADD COLUMN tries           integer NOT NULL DEFAULT 0, -- attempts since a decision last made it READY
    ADD COLUMN in_doubt        boolean NOT NULL DEFAULT false, -- an attempt that may have been accepted is not refuted yet
    ADD COLUMN decided_by      text;
UPDATE outbound_message SET trigger_key = 'job:' || job_id;
ALTER TABLE outbound_message
    ALTER COLUMN trigger_key SET NOT NULL,
    ADD CONSTRAINT outbound_sending_has_deadline CHECK ((state = 'SENDING') = (deadline_at IS NOT NULL)),
    ADD CONSTRAINT outbound_unknown_has_time CHECK ((state = 'UNKNOWN') = (unknown_since IS NOT NULL)),
    ADD CONSTRAINT outbound_waiting_has_time CHECK (state NOT IN ('READY', 'UNKNOWN') OR not_before IS NOT NULL),
    ADD CONSTRAINT outbound_unknown_is_in_doubt CHECK (state <> 'UNKNOWN' OR in_doubt),
    ADD CONSTRAINT outbound_ready_is_not_in_doubt CHECK (state <> 'READY' OR NOT in_doubt),
    ADD CONSTRAINT outbound_end_has_reason CHECK (state NOT IN ('REJECTED', 'UNKNOWN', 'NEEDS_HUMAN', 'CANCELLED') OR reason IS NOT NULL);
CREATE UNIQUE INDEX outbound_once_per_trigger ON outbound_message (workspace, trigger_key, channel, purpose, part_index)
    WHERE state <> 'CANCELLED';
CREATE UNIQUE INDEX outbound_once_per_draft_part ON outbound_message (draft_id, part_index) WHERE draft_id IS NOT NULL;
CREATE INDEX outbound_next_to_look_at ON outbound_message (not_before) WHERE state IN ('READY', 'UNKNOWN');
CREATE INDEX outbound_past_deadline ON outbound_message (deadline_at) WHERE state = 'SENDING';
CREATE INDEX outbound_by_time ON outbound_message (created_at);
CREATE INDEX outbound_of_lead ON outbound_message (lead_id) WHERE lead_id IS NOT NULL;

-- One row per try to hand a message to its provider, written and committed before the provider is called.
CREATE TABLE send_attempt (
    outbound_message_id bigint      NOT NULL REFERENCES outbound_message,
    attempt             integer     NOT NULL,
    epoch               integer     NOT NULL,
    sender              text        NOT NULL,
    job_fence           bigint,
    function_run_id     bigint,
    dagster_run_id      text,
    started_at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    deadline_at         timestamptz NOT NULL,
    request_sha256      text        NOT NULL,
    idempotency_key     text        NOT NULL,
    finished_at         timestamptz,
    outcome             text,
    error_class         text,
    error               text,
    http_status         integer,
    provider_message_id text,
    PRIMARY KEY (outbound_message_id, attempt),
    UNIQUE (outbound_message_id, epoch),
    CONSTRAINT send_attempt_counts_from_one CHECK (attempt >= 1 AND epoch >= 1),
    CONSTRAINT send_attempt_outcome_known CHECK (outcome IN ('accepted', 'rejected', 'not_sent', 'ambiguous')),
    CONSTRAINT send_attempt_finished_with_outcome CHECK ((outcome IS NULL) = (finished_at IS NULL))
);
CREATE INDEX send_attempt_by_time ON send_attempt (started_at);

-- What a provider says exists. `author` tells our own sends from those of people and campaigns.
ALTER TABLE provider_message
    ADD COLUMN kind             text NOT NULL DEFAULT 'message',
    ADD COLUMN author           text NOT NULL DEFAULT 'automation',
    ADD COLUMN workspace        text,
    ADD COLUMN channel          text,
    ADD COLUMN thread_id        text,
    ADD COLUMN sent_at          timestamptz,
    ADD COLUMN idempotency_key  text,
    ADD COLUMN body_norm_sha256 text,
    ADD COLUMN body_length      integer,
    ADD COLUMN epoch            integer,
    ALTER COLUMN body DROP NOT NULL,
    ALTER COLUMN recipient DROP NOT NULL,
    DROP CONSTRAINT provider_message_pkey,
    ADD PRIMARY KEY (provider, account, kind, provider_message_id),
    ADD CONSTRAINT provider_message_kind_known CHECK (kind IN ('message', 'reply', 'campaign_scheduled', 'invitation')),
    ADD CONSTRAINT provider_message_author_known CHECK (author IN ('automation', 'person', 'campaign', 'lead', 'unknown'));
UPDATE provider_message p SET workspace = o.workspace, channel = o.channel, sent_at = o.sent_at, epoch = 1, idempotency_key = o.idempotency_key
FROM outbound_message o WHERE o.outbound_message_id = p.outbound_message_id;
CREATE INDEX provider_message_by_recipient ON provider_message (lower(recipient), first_seen_at) WHERE direction = 'outbound';
CREATE INDEX provider_message_by_key ON provider_message (idempotency_key) WHERE idempotency_key IS NOT NULL;

-- Switches: the environment gives the default, a row here overrides it, and every flip is on record.
CREATE TABLE control_flag (
    flag       text PRIMARY KEY,
    value      text, -- NULL: not overridden
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- A send holds the flag's row, so that a flip waits for it. The row exists before the first flip for that reason.
INSERT INTO control_flag (flag) VALUES ('sends.enabled'), ('drafts.auto_send');
CREATE TABLE control_event (
    control_event_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    flag       text        NOT NULL,
    from_value text        NOT NULL,
    to_value   text        NOT NULL,
    who        text        NOT NULL CHECK (who <> ''),
    why        text        NOT NULL CHECK (why <> ''),
    changed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX control_event_by_flag ON control_event (flag, control_event_id);
CREATE TRIGGER control_event_is_append_only BEFORE UPDATE ON control_event FOR EACH ROW EXECUTE FUNCTION refuse_change();

CREATE TRIGGER outbound_message_moves BEFORE UPDATE OF state ON outbound_message FOR EACH ROW
    WHEN (OLD.state <> NEW.state AND (OLD.state || '>' || NEW.state) NOT IN (
        'READY>SENDING', 'READY>SENT', 'READY>NEEDS_HUMAN', 'READY>CANCELLED',
        'SENDING>SENT', 'SENDING>REJECTED', 'SENDING>READY', 'SENDING>UNKNOWN',
        'UNKNOWN>SENT', 'UNKNOWN>READY', 'UNKNOWN>SENDING', 'UNKNOWN>NEEDS_HUMAN',
        'NEEDS_HUMAN>SENT', 'NEEDS_HUMAN>READY', 'NEEDS_HUMAN>CANCELLED'))
    EXECUTE FUNCTION refuse_move();

-- What the customer would see, and every part of the key, is frozen when the message is reserved.
CREATE TRIGGER outbound_message_is_frozen BEFORE UPDATE ON outbound_message FOR EACH ROW
    WHEN ((OLD.workspace, OLD.job_id, OLD.trigger_key, OLD.channel, OLD.purpose, OLD.part_index, OLD.recipient, OLD.subject, OLD.body,
           OLD.in_reply_to, OLD.lead_id, OLD.draft_id, OLD.provider, OLD.account, OLD.idempotency_key, OLD.payload_sha256)
          IS DISTINCT FROM
          (NEW.workspace, NEW.job_id, NEW.trigger_key, NEW.channel, NEW.purpose, NEW.part_index, NEW.recipient, NEW.subject, NEW.body,
           NEW.in_reply_to, NEW.lead_id, NEW.draft_id, NEW.provider, NEW.account, NEW.idempotency_key, NEW.payload_sha256))
    EXECUTE FUNCTION refuse_change();

-- An attempt ends once; what it ended with is never rewritten.
CREATE TRIGGER send_attempt_ends_once BEFORE UPDATE ON send_attempt FOR EACH ROW
    WHEN (OLD.outcome IS NOT NULL) EXECUTE FUNCTION refuse_change();
