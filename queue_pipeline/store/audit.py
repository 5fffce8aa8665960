"""The questions of the duplicate-send audit: what providers said, held against the ledger. Reads only.

Each statement can be run by hand with `\\set since '''2031-03-04Z'''` and so on for its other parameters. It starts at
what was seen or sent in the period, by an index on time, and then reads everything that shares a key, a draft or an
addressee, however old: the other half of a duplicate may lie on another day.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from queue_pipeline.store.queries import sql_of
from queue_pipeline.store.session import Tx

#: People and leads write as they like; what remains was sent by us, by a campaign, or by we do not know whom.
_OURS = "p.direction = 'outbound' AND p.author NOT IN ('person', 'lead')"
#: A provider's clock may be wrong, so a message counts when it was sent and also when we first heard of it.
_IN_PERIOD = "(p.first_seen_at >= :since AND p.first_seen_at < :until OR p.sent_at >= :since AND p.sent_at < :until)"
_SEEN = f"seen AS MATERIALIZED (SELECT p.* FROM provider_message p WHERE {_OURS} AND {_IN_PERIOD})"
#: A message without the kind under which it was reported: a response and an echo may disagree on that.
_IDENTITY = "(p.provider, p.account, p.provider_message_id)"
_EVIDENCE = "jsonb_agg(DISTINCT jsonb_build_array(p.provider, p.account, p.kind, p.provider_message_id))"
_OUTBOUND = "array_agg(DISTINCT o.outbound_message_id) FILTER (WHERE o.outbound_message_id IS NOT NULL)"

#: The operator's own statement, which says the verdict first and then every key.
_DUPLICATE_SENDS_SQL = sql_of("duplicate_sends")
D1_SQL = f"""
SELECT subject, outbound_message_ids, evidence, facts, found FROM ({_DUPLICATE_SENDS_SQL}) d WHERE subject IS NOT NULL
"""

D2_SQL = f"""
WITH {_SEEN}, subject AS (
    SELECT o.draft_id, o.part_index FROM seen s JOIN outbound_message o USING (outbound_message_id) WHERE o.draft_id IS NOT NULL
    UNION
    SELECT o.draft_id, o.part_index FROM seen s JOIN outbound_message o USING (idempotency_key) WHERE o.draft_id IS NOT NULL
), sent AS (
    SELECT o.draft_id, o.part_index, o.outbound_message_id, o.idempotency_key
    FROM subject JOIN outbound_message o USING (draft_id, part_index)
), evidence AS (
    SELECT o.draft_id, o.part_index, o.outbound_message_id, p.provider, p.account, p.kind, p.provider_message_id
    FROM sent o JOIN provider_message p ON p.outbound_message_id = o.outbound_message_id AND {_OURS}
    UNION
    SELECT o.draft_id, o.part_index, o.outbound_message_id, p.provider, p.account, p.kind, p.provider_message_id
    FROM sent o JOIN provider_message p ON p.idempotency_key = o.idempotency_key AND {_OURS}
)
SELECT p.draft_id || '/' || p.part_index AS subject, {_OUTBOUND.replace("o.", "p.")} AS outbound_message_ids,
       {_EVIDENCE} AS evidence,
       jsonb_build_object('draft', p.draft_id, 'part', p.part_index, 'messages', count(DISTINCT {_IDENTITY})) AS facts,
       count(*) OVER () AS found
FROM evidence p
GROUP BY p.draft_id, p.part_index
HAVING count(DISTINCT {_IDENTITY}) > 1
ORDER BY p.draft_id, p.part_index LIMIT :findings_max
"""

D3_SQL = """
WITH subject AS (
    SELECT DISTINCT workspace, lead_id, channel, trigger_key, purpose, part_index FROM outbound_message
    WHERE state = 'SENT' AND sent_at >= :since AND sent_at < :until
)
SELECT jsonb_build_array(o.workspace, o.lead_id, o.channel, o.trigger_key, o.purpose, o.part_index)::text AS subject,
       array_agg(o.outbound_message_id ORDER BY o.outbound_message_id) AS outbound_message_ids, NULL::jsonb AS evidence,
       jsonb_build_object('messages', count(*)) AS facts, count(*) OVER () AS found
FROM subject k
JOIN outbound_message o ON o.workspace = k.workspace AND o.trigger_key = k.trigger_key AND o.channel = k.channel
    AND o.purpose = k.purpose AND o.part_index = k.part_index AND o.lead_id IS NOT DISTINCT FROM k.lead_id
WHERE o.state = 'SENT'
GROUP BY o.workspace, o.lead_id, o.channel, o.trigger_key, o.purpose, o.part_index
HAVING count(*) > 1
ORDER BY min(o.outbound_message_id) LIMIT :findings_max
"""

#: Who got the message is known by address, by lead, or by thread. Within one addressee, text, workspace and channel
#: each message is held against the one before it, so that the work grows with the messages and not with their pairs.
#: A message whose workspace or channel nobody told is held against those of every one. OFFSET 0 keeps the addressees apart,
#: so that each is looked up by index; all at once look to PostgreSQL like a reason to read everything.
_ALIKE = f"{_OURS} AND p.text_sha256 IS NOT NULL"
D4_SQL = f"""
WITH told AS NOT MATERIALIZED (
    SELECT p.provider, p.account, p.kind, p.provider_message_id, p.direction, p.author, p.first_seen_at, p.sent_at, p.recipient,
           p.thread_id, p.outbound_message_id, o.lead_id, coalesce(p.workspace, o.workspace) AS workspace,
           coalesce(p.channel, o.channel) AS channel, coalesce(p.body_norm_sha256, o.body_norm_sha256) AS text_sha256,
           coalesce(p.body_length, length(p.body), length(o.body)) AS text_length
    FROM provider_message p LEFT JOIN outbound_message o USING (outbound_message_id)
), seen AS MATERIALIZED (
    SELECT p.* FROM told p WHERE {_ALIKE} AND {_IN_PERIOD}
), member AS (
    SELECT 'address ' || k.who AS who, m.*
    FROM (SELECT DISTINCT lower(recipient) AS who FROM seen WHERE recipient <> '') k CROSS JOIN LATERAL (
        SELECT p.* FROM told p WHERE lower(p.recipient) = k.who AND {_ALIKE} OFFSET 0) m
    UNION ALL
    SELECT 'lead ' || k.lead_id, m.*
    FROM (SELECT DISTINCT lead_id FROM seen WHERE lead_id IS NOT NULL) k CROSS JOIN LATERAL (
        SELECT p.* FROM told p WHERE p.lead_id = k.lead_id AND {_ALIKE} OFFSET 0) m
    UNION ALL
    SELECT jsonb_build_array(k.provider, k.account, k.thread_id)::text, m.*
    FROM (SELECT DISTINCT provider, account, thread_id FROM seen WHERE thread_id <> '') k CROSS JOIN LATERAL (
        SELECT p.* FROM told p
        WHERE p.thread_id = k.thread_id AND p.provider = k.provider AND p.account = k.account AND {_ALIKE} OFFSET 0) m
), place AS (
    SELECT DISTINCT who, text_sha256, workspace, channel FROM member
), ordered AS (
    SELECT p.author, p.provider, p.account, p.kind, p.provider_message_id, p.outbound_message_id, {_IN_PERIOD} AS in_period,
           p.text_length, coalesce(p.sent_at, p.first_seen_at) AS at,
           lag(jsonb_build_array(p.provider, p.account, p.kind, p.provider_message_id)) OVER w AS before,
           lag(jsonb_build_array(p.provider, p.account, p.provider_message_id)) OVER w AS before_identity,
           lag(p.outbound_message_id) OVER w AS before_outbound, lag({_IN_PERIOD}) OVER w AS before_in_period,
           lag(p.author) OVER w AS before_author, lag(p.text_length) OVER w AS before_length,
           lag(coalesce(p.sent_at, p.first_seen_at)) OVER w AS before_at
    FROM place k
    JOIN member p ON p.who = k.who AND p.text_sha256 = k.text_sha256
        AND (p.workspace = k.workspace OR p.workspace IS NULL) AND (p.channel = k.channel OR p.channel IS NULL)
    WINDOW w AS (PARTITION BY k.who, k.text_sha256, k.workspace, k.channel
                 ORDER BY coalesce(p.sent_at, p.first_seen_at), p.provider, p.account, p.provider_message_id, p.kind)
), pair AS (
    SELECT DISTINCT least(before_identity, jsonb_build_array(provider, account, provider_message_id))::text || ' '
               || greatest(before_identity, jsonb_build_array(provider, account, provider_message_id))::text AS subject,
           before_outbound, outbound_message_id, before, jsonb_build_array(provider, account, kind, provider_message_id) AS this,
           round(extract(epoch FROM at - before_at))::bigint AS seconds, before_at
    FROM ordered
    WHERE before_identity <> jsonb_build_array(provider, account, provider_message_id) AND (in_period OR before_in_period)
      AND NOT (author = 'campaign' AND before_author = 'campaign')
      AND at - before_at <= CASE WHEN least(text_length, before_length) < :short_text
                                 THEN make_interval(secs => :short_suspect_seconds)
                                 ELSE make_interval(secs => :suspect_seconds) END
)
SELECT subject, array_remove(ARRAY[min(before_outbound), min(outbound_message_id)], NULL) AS outbound_message_ids,
       (array_agg(jsonb_build_array(before, this)))[1] AS evidence, jsonb_build_object('seconds', min(seconds)) AS facts,
       count(*) OVER () AS found
FROM pair
GROUP BY subject
ORDER BY min(before_at), subject LIMIT :findings_max
"""

_UNLEDGERED = """
NOT EXISTS (SELECT FROM outbound_message o WHERE o.outbound_message_id = s.outbound_message_id)
AND NOT EXISTS (SELECT FROM outbound_message o WHERE o.idempotency_key = s.idempotency_key)
"""
_SETTLED = "s.first_seen_at < now() - make_interval(secs => :settle_seconds)"

D5_SQL = f"""
WITH {_SEEN}
SELECT jsonb_build_array(s.provider, s.account, s.kind, s.provider_message_id)::text AS subject,
       NULL::bigint[] AS outbound_message_ids,
       jsonb_build_array(jsonb_build_array(s.provider, s.account, s.kind, s.provider_message_id)) AS evidence,
       '{{}}'::jsonb AS facts, count(*) OVER () AS found
FROM seen s
WHERE s.author = 'automation' AND {_SETTLED} AND {_UNLEDGERED}
ORDER BY s.first_seen_at, subject LIMIT :findings_max
"""

D6_SQL = f"""
WITH {_SEEN}, claimed AS (
    SELECT s.provider, s.account, s.kind, s.provider_message_id, s.first_seen_at, o.outbound_message_id, o.state
    FROM seen s JOIN outbound_message o USING (outbound_message_id)
    UNION
    SELECT s.provider, s.account, s.kind, s.provider_message_id, s.first_seen_at, o.outbound_message_id, o.state
    FROM seen s JOIN outbound_message o USING (idempotency_key)
), disagreement AS (
    SELECT o.outbound_message_id, 'SENT' AS state, NULL::jsonb AS evidence
    FROM outbound_message o
    WHERE o.state = 'SENT' AND o.sent_at >= :since AND o.sent_at < :until
      AND o.sent_at < now() - make_interval(secs => :settle_seconds)
      AND NOT EXISTS (SELECT FROM provider_message p WHERE p.outbound_message_id = o.outbound_message_id AND {_OURS})
      AND NOT EXISTS (SELECT FROM provider_message p WHERE p.idempotency_key = o.idempotency_key AND {_OURS})
    UNION ALL
    SELECT s.outbound_message_id, s.state, jsonb_agg(jsonb_build_array(s.provider, s.account, s.kind, s.provider_message_id))
    FROM claimed s
    WHERE s.state IN ('REJECTED', 'CANCELLED', 'READY', 'NEEDS_HUMAN') AND {_SETTLED}
    GROUP BY s.outbound_message_id, s.state
)
SELECT outbound_message_id || ' ' || state AS subject, ARRAY[outbound_message_id] AS outbound_message_ids, evidence,
       jsonb_build_object('state', state) AS facts, count(*) OVER () AS found
FROM disagreement
ORDER BY outbound_message_id LIMIT :findings_max
"""

D7_SQL = """
WITH accepted AS (SELECT e.* FROM inbound_event e WHERE e.accepted_at >= :since AND e.accepted_at < :until), trouble AS (
    SELECT 'conflict ' || c.inbound_event_id || ' ' || c.payload_sha256 AS subject, 'two bodies' AS what,
           ARRAY[c.inbound_event_id] AS inbound_event_ids
    FROM inbound_conflict c WHERE c.seen_at >= :since AND c.seen_at < :until
    UNION ALL
    SELECT jsonb_build_array('key', e.workspace, e.provider, e.account, e.dedupe_key)::text,
           CASE WHEN count(DISTINCT e.payload_sha256) > 1 THEN 'two bodies' ELSE 'accepted twice' END,
           array_agg(DISTINCT e.inbound_event_id)
    FROM (SELECT DISTINCT workspace, provider, account, dedupe_key FROM accepted) k
    JOIN inbound_event e USING (workspace, provider, account, dedupe_key)
    GROUP BY e.workspace, e.provider, e.account, e.dedupe_key
    HAVING count(DISTINCT e.inbound_event_id) > 1
    UNION ALL
    SELECT jsonb_build_array('id', e.workspace, e.provider, e.account, e.provider_event_id)::text, 'accepted twice',
           array_agg(DISTINCT e.inbound_event_id)
    FROM (SELECT DISTINCT workspace, provider, account, provider_event_id FROM accepted WHERE provider_event_id IS NOT NULL) k
    JOIN inbound_event e USING (workspace, provider, account, provider_event_id)
    GROUP BY e.workspace, e.provider, e.account, e.provider_event_id
    HAVING count(DISTINCT e.inbound_event_id) > 1 AND count(DISTINCT e.dedupe_key) > 1
)
SELECT subject, NULL::bigint[] AS outbound_message_ids, NULL::jsonb AS evidence, inbound_event_ids,
       jsonb_build_object('what', what) AS facts, count(*) OVER () AS found
FROM trouble
ORDER BY inbound_event_ids, subject LIMIT :findings_max
"""

UNKNOWN_SQL = """
SELECT outbound_message_id::text AS subject, ARRAY[outbound_message_id] AS outbound_message_ids, NULL::jsonb AS evidence,
       jsonb_build_object('seconds', round(extract(epoch FROM now() - unknown_since))::bigint) AS facts, count(*) OVER () AS found
FROM outbound_message
WHERE state = 'UNKNOWN' AND unknown_since < :until AND unknown_since < now() - make_interval(secs => :unknown_seconds)
ORDER BY unknown_since LIMIT :findings_max
"""

FINDINGS_SQL: Mapping[str, str] = {
    "D1": D1_SQL,
    "D2": D2_SQL,
    "D3": D3_SQL,
    "D4": D4_SQL,
    "D5": D5_SQL,
    "D6": D6_SQL,
    "D7": D7_SQL,
    "UNKNOWN": UNKNOWN_SQL,
}

_SENT_IN_PERIOD = "state = 'SENT' AND sent_at >= :since AND sent_at < :until"

#: How many rows each question looked at in the period. None is no proof of anything.
EXAMINED_SQL = f"""
WITH {_SEEN}, evidence AS (
    SELECT (s.outbound_message_id IS NOT NULL AND o.outbound_message_id IS NOT NULL OR s.idempotency_key IS NOT NULL) AS keyed,
           (o.draft_id IS NOT NULL OR e.draft_id IS NOT NULL) AS of_draft,
           (o.outbound_message_id IS NOT NULL OR e.outbound_message_id IS NOT NULL) AS of_ledger,
           (coalesce(s.body_norm_sha256, o.body_norm_sha256) IS NOT NULL
            AND (s.recipient <> '' OR o.lead_id IS NOT NULL OR s.thread_id <> '')) AS with_text,
           s.author = 'automation' AS automated, {_SETTLED} AS settled
    FROM seen s
    LEFT JOIN outbound_message o ON o.outbound_message_id = s.outbound_message_id
    LEFT JOIN outbound_message e ON e.idempotency_key = s.idempotency_key
)
SELECT count(*) FILTER (WHERE keyed) AS "D1", count(*) FILTER (WHERE of_draft) AS "D2",
    (SELECT count(*) FROM outbound_message WHERE {_SENT_IN_PERIOD}) AS "D3",
    count(*) FILTER (WHERE with_text) AS "D4", count(*) FILTER (WHERE automated AND settled) AS "D5",
    count(*) FILTER (WHERE of_ledger AND settled)
    + (SELECT count(*) FROM outbound_message WHERE {_SENT_IN_PERIOD} AND sent_at < now() - make_interval(secs => :settle_seconds))
        AS "D6",
    (SELECT count(*) FROM inbound_event WHERE accepted_at >= :since AND accepted_at < :until)
    + (SELECT count(*) FROM inbound_conflict WHERE seen_at >= :since AND seen_at < :until) AS "D7",
    (SELECT count(*) FROM outbound_message
     WHERE created_at >= :since AND created_at < :until OR sent_at >= :since AND sent_at < :until) AS "UNKNOWN"
FROM evidence
"""

#: D8: counted, never judged.
LEGACY_SQL = """
SELECT legacy_key, sum(times)::bigint AS rows_examined, count(*) FILTER (WHERE times > 1) AS repeated
FROM (SELECT legacy_key, value, count(*) AS times FROM legacy_message_key
      WHERE recorded_at >= :since AND recorded_at < :until GROUP BY legacy_key, value) v
GROUP BY legacy_key
"""

#: The same question, counted, for the keys of which something was heard in the last so many seconds.
DUPLICATE_KEYS_SQL = "SELECT value FROM ({}) d WHERE subject IS NULL".format(
    _DUPLICATE_SENDS_SQL.replace(":since", "now() - make_interval(secs => :seconds)")
    .replace(":until", "now()")
    .replace(":findings_max", "0")
)

Row = Mapping[str, Any]


def read_one_instant(tx: Tx) -> None:
    """Let every question of this transaction see the same instant, and change nothing; to be said first."""
    tx.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def findings(tx: Tx, code: str, parameters: Row) -> Sequence[Row]:
    """What one check finds: subject, outbound_message_ids, evidence, facts, and found, the number beyond any limit."""
    return [dict(row) for row in tx.execute(sa.text(FINDINGS_SQL[code]), dict(parameters)).mappings()]


def rows_examined(tx: Tx, parameters: Row) -> Mapping[str, int]:
    """How many rows each check looked at, by its code."""
    return {
        key: int(value) for key, value in tx.execute(sa.text(EXAMINED_SQL), dict(parameters)).mappings().one().items()
    }


def legacy_keys(tx: Tx, parameters: Row) -> Mapping[str, tuple[int, int]]:
    """By legacy key: how many rows were recorded, and how many values more than once."""
    rows = tx.execute(sa.text(LEGACY_SQL), dict(parameters))
    return {row.legacy_key: (row.rows_examined, row.repeated) for row in rows}


def duplicate_keys(tx: Tx, *, seconds: float) -> int:
    """Idempotency keys with more than one message at a provider, one of them seen in the last so many seconds."""
    return int(tx.execute(sa.text(DUPLICATE_KEYS_SQL), {"seconds": seconds}).scalar_one())
