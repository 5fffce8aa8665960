-- The duplicate-send audit: the times and keys by which it reads, the five keys of the system that it replaces, and
-- what people reviewed.

-- The audit of a day reads what was seen or sent on it, and then everything that shares a key, a draft, or an addressee.
CREATE INDEX provider_message_by_send ON provider_message (sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX provider_message_of_thread ON provider_message (thread_id) WHERE thread_id IS NOT NULL AND direction = 'outbound';
-- Without it PostgreSQL takes every address for a half percent of all messages, and reads them all.
CREATE STATISTICS provider_message_recipients ON (lower(recipient)) FROM provider_message;
CREATE INDEX outbound_by_send ON outbound_message (sent_at) WHERE sent_at IS NOT NULL;
CREATE INDEX inbound_by_time ON inbound_event (accepted_at);
CREATE INDEX inbound_by_provider_id ON inbound_event (provider_event_id) WHERE provider_event_id IS NOT NULL;
CREATE INDEX inbound_conflict_by_time ON inbound_conflict (seen_at);

-- Messages that look alike and that a person found to be meant so. A review is never withdrawn.
CREATE TABLE audit_review (
    fingerprint text PRIMARY KEY,
    who         text        NOT NULL,
    why         text        NOT NULL,
    reviewed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT audit_review_fingerprint_is_one CHECK (fingerprint ~ '^d[0-9]-[0-9a-f]{16}$'),
    CONSTRAINT audit_review_is_signed CHECK (who <> '' AND why <> '')
);
CREATE TRIGGER audit_review_is_append_only BEFORE UPDATE ON audit_review FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- The five columns that the earlier system checked for duplicates, by their old names. Providers assign these ids after
-- they accepted a message: they tell apart what was recorded, never what was sent.
CREATE VIEW legacy_message_key AS
SELECT CASE p.provider WHEN 'gohighlevel' THEN 'ghlId' WHEN 'emailbison' THEN 'emailBisonReplyId'
                       WHEN 'inboxxia' THEN 'inboxxiaScheduledEmailId' WHEN 'unipile' THEN 'unipileMessageId' END AS legacy_key,
       jsonb_build_array(p.provider, p.account, p.kind, p.provider_message_id)::text AS value,
       p.first_seen_at AS recorded_at
FROM provider_message p WHERE p.provider IN ('gohighlevel', 'emailbison', 'inboxxia', 'unipile')
UNION ALL
SELECT CASE WHEN e.provider_event_id IS NULL THEN 'webhookDedupeKey'
            WHEN e.provider = 'gohighlevel' THEN 'ghlId' WHEN e.provider = 'emailbison' THEN 'emailBisonReplyId'
            WHEN e.provider = 'inboxxia' THEN 'inboxxiaScheduledEmailId' ELSE 'unipileMessageId' END,
       jsonb_build_array(e.workspace, e.provider, e.account, coalesce(e.provider_event_id, e.dedupe_key))::text,
       e.accepted_at
FROM inbound_event e WHERE e.provider IN ('gohighlevel', 'emailbison', 'inboxxia', 'unipile');
