-- Leads: what was decided and why, what the gates found, what people must do, and how a send ended for its lead.

ALTER TABLE lead_outcome
    ADD COLUMN code text NOT NULL DEFAULT 'unspecified',
    DROP CONSTRAINT lead_outcome_known,
    ADD CONSTRAINT lead_outcome_known CHECK (
        outcome IN ('drafted_for_review', 'sending', 'sent', 'skipped', 'needs_action', 'failed'));
CREATE INDEX lead_outcome_of_draft ON lead_outcome (draft_id) WHERE draft_id IS NOT NULL;

ALTER TABLE draft
    ADD COLUMN is_template   boolean NOT NULL DEFAULT true,
    ADD COLUMN findings      jsonb   NOT NULL DEFAULT '[]',
    ADD COLUMN usage         jsonb,
    ADD COLUMN why_no_model  text,
    ADD COLUMN decided_by    text,
    ADD COLUMN decided_at    timestamptz,
    ADD COLUMN decision      text,
    DROP CONSTRAINT draft_state_known,
    ADD CONSTRAINT draft_state_known CHECK (state IN ('FOR_REVIEW', 'APPROVED', 'SENT', 'REJECTED', 'NOT_SENT'));

-- A number that the lead named in any message, for whoever is to call.
ALTER TABLE lead ADD COLUMN phone text;

-- What a person must do for a lead: call, write, look up.
CREATE TABLE lead_task (
    lead_task_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace    text        NOT NULL,
    lead_id      bigint      REFERENCES lead,
    job_id       bigint      NOT NULL,
    kind         text        NOT NULL,
    why          text        NOT NULL CHECK (why <> ''),
    due_at       timestamptz,
    state        text        NOT NULL DEFAULT 'OPEN',
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    done_at      timestamptz,
    done_by      text,
    UNIQUE (job_id, kind),
    CONSTRAINT lead_task_kind_known CHECK (kind IN ('call', 'follow_up', 'find_right_person', 'answer')),
    CONSTRAINT lead_task_state_known CHECK (state IN ('OPEN', 'DONE')),
    CONSTRAINT lead_task_done_has_time CHECK ((state = 'DONE') = (done_at IS NOT NULL))
);
CREATE INDEX lead_task_open ON lead_task (workspace, created_at) WHERE state = 'OPEN';

-- The provider's own id of a delivery is unique as well, whatever key it was accepted under.
CREATE UNIQUE INDEX inbound_accepted_once_by_provider_id
    ON inbound_event (workspace, provider, account, provider_event_id) WHERE provider_event_id IS NOT NULL;
ALTER TABLE inbound_event
    ADD COLUMN channel   text,
    ADD COLUMN thread_id text;
CREATE INDEX inbound_of_thread ON inbound_event (workspace, lead_address, accepted_at) WHERE lead_address IS NOT NULL;

-- A reply that left, or will not leave, decides the outcome of its lead, whoever moved the message: its job, the
-- reconciliation, a provider's echo, or a person.
CREATE FUNCTION send_of_draft_ended() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    ended text := CASE NEW.state WHEN 'SENT' THEN 'sent' WHEN 'UNKNOWN' THEN 'sending' WHEN 'CANCELLED' THEN 'skipped'
                                 ELSE 'needs_action' END;
    why   text := CASE NEW.state WHEN 'SENT' THEN 'the reply was sent'
                                 ELSE 'the reply is ' || NEW.state || ': ' || coalesce(NEW.reason, 'no reason is on record') END;
    changed integer;
BEGIN
    UPDATE draft SET state = CASE NEW.state WHEN 'SENT' THEN 'SENT' WHEN 'REJECTED' THEN 'NOT_SENT'
                                            WHEN 'CANCELLED' THEN 'NOT_SENT' ELSE state END,
                     updated_at = clock_timestamp()
    WHERE draft_id = NEW.draft_id;
    UPDATE lead_outcome SET outcome = ended, reason = why, code = 'send_' || lower(NEW.state), recorded_at = clock_timestamp()
    WHERE draft_id = NEW.draft_id AND outcome IN ('sending', 'needs_action', 'drafted_for_review') AND outcome <> ended;
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed > 0 AND ended <> 'sending' THEN
        INSERT INTO notification (workspace, job_id, dedupe_key, text, kind)
        VALUES (NEW.workspace, NEW.job_id, format('send:%s:%s:%s', NEW.outbound_message_id, NEW.state, NEW.epoch),
                format('%s: the reply to lead %s (message %s) %s.', NEW.workspace, coalesce(NEW.lead_id::text, 'unknown'),
                       NEW.outbound_message_id,
                       CASE NEW.state WHEN 'SENT' THEN 'was sent' WHEN 'NEEDS_HUMAN' THEN 'needs a person'
                                      WHEN 'CANCELLED' THEN 'was not sent' ELSE 'was rejected' END),
                CASE NEW.state WHEN 'SENT' THEN 'outcome' WHEN 'CANCELLED' THEN 'skip' ELSE 'failure' END)
        ON CONFLICT (dedupe_key) DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER outbound_of_draft_ends_visibly AFTER UPDATE OF state ON outbound_message FOR EACH ROW
    WHEN (NEW.draft_id IS NOT NULL AND NEW.state <> OLD.state
          AND NEW.state IN ('SENT', 'REJECTED', 'CANCELLED', 'NEEDS_HUMAN', 'UNKNOWN'))
    EXECUTE FUNCTION send_of_draft_ended();

-- A lead job may end where no handler runs any more. Without an outcome it gets one; and an outcome that promises a send
-- which was never reserved is taken back, because nobody else would keep that promise.
CREATE OR REPLACE FUNCTION lead_job_ended_without_handler() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    why text := CASE WHEN NEW.state = 'CANCELLED' THEN 'The job was cancelled' ELSE 'The job is a dead letter' END
                || coalesce(': ' || nullif(split_part(NEW.last_error, E'\n', 1), ''), '.');
    ended text := CASE WHEN NEW.state = 'CANCELLED' THEN 'skipped' ELSE 'failed' END;
    tell boolean;
    recorded integer;
BEGIN
    INSERT INTO lead_outcome (job_id, workspace, outcome, code, reason)
    VALUES (NEW.job_id, NEW.workspace, ended, CASE WHEN NEW.state = 'CANCELLED' THEN 'cancelled' ELSE 'dead_letter' END, why)
    ON CONFLICT (job_id) DO NOTHING;
    GET DIAGNOSTICS recorded = ROW_COUNT;
    tell := recorded > 0;
    IF NOT tell THEN
        ended := 'needs action';
        tell := send_never_reserved((SELECT draft_id FROM lead_outcome WHERE job_id = NEW.job_id), why);
    END IF;
    IF tell THEN
        INSERT INTO notification (workspace, job_id, dedupe_key, text, kind)
        VALUES (NEW.workspace, NEW.job_id, format('lead:%s:%s:%s', NEW.job_id, ended, NEW.attempt),
                format('Lead job %s of %s ended %s: %s', NEW.job_id, NEW.workspace, ended,
                       CASE WHEN NEW.state = 'CANCELLED' THEN 'it was cancelled.'
                            ELSE 'no attempt is left. See `queue-pipeline trace ' || NEW.job_id || '`.' END),
                CASE WHEN NEW.state = 'CANCELLED' THEN 'skip' ELSE 'failure' END)
        ON CONFLICT (dedupe_key) DO NOTHING;
    END IF;
    RETURN NULL;
END $$;

-- Gives a draft whose send was promised, but never reserved, back to the reviewers; false when there is no such promise.
CREATE FUNCTION send_never_reserved(of_draft bigint, why text) RETURNS boolean
    LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    changed integer;
BEGIN
    UPDATE lead_outcome SET outcome = 'needs_action', code = 'send_never_started', recorded_at = clock_timestamp(),
        reason = 'the reply was to be sent, and its job ended before that; it waits for review again. ' || why
    WHERE draft_id = of_draft AND outcome = 'sending'
      AND NOT EXISTS (SELECT FROM outbound_message m WHERE m.draft_id = of_draft);
    GET DIAGNOSTICS changed = ROW_COUNT;
    IF changed > 0 THEN
        UPDATE draft SET state = 'FOR_REVIEW', decided_by = NULL, decided_at = NULL, decision = NULL, updated_at = clock_timestamp()
        WHERE draft_id = of_draft AND state = 'APPROVED';
    END IF;
    RETURN changed > 0;
END $$;

-- The job that sends an approved draft may end where no handler runs any more, too.
CREATE FUNCTION job_of_draft_ended_without_handler() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    of_draft bigint := CASE WHEN NEW.payload ->> 'draft_id' ~ '^[0-9]{1,18}$' THEN (NEW.payload ->> 'draft_id')::bigint END;
BEGIN
    IF send_never_reserved(of_draft, format('See `queue-pipeline trace %s`.', NEW.job_id)) THEN
        INSERT INTO notification (workspace, job_id, dedupe_key, text, kind)
        VALUES (NEW.workspace, NEW.job_id, format('draft:%s:job:%s', of_draft, NEW.job_id),
                format('%s: draft %s was approved, but job %s ended %s before it was sent; it waits for review again.',
                       NEW.workspace, of_draft, NEW.job_id, NEW.state), 'failure')
        ON CONFLICT (dedupe_key) DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER job_of_draft_ends_visibly AFTER UPDATE OF state ON job FOR EACH ROW
    WHEN (NEW.kind = 'lead.send_draft' AND NEW.state IN ('DEAD', 'CANCELLED') AND OLD.state <> NEW.state)
    EXECUTE FUNCTION job_of_draft_ended_without_handler();

-- A dead letter that is replayed has no outcome until it ends again. What a handler recorded stays true.
CREATE OR REPLACE FUNCTION lead_job_replayed() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    DELETE FROM lead_outcome WHERE job_id = NEW.job_id AND code = 'dead_letter';
    RETURN NULL;
END $$;
