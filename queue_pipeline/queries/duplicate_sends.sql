-- Does any idempotency key have more than one message at a provider? The first row is the verdict, the others are the keys.
--
-- Parameters, with what plain psql takes when they are not set:
--   since, until   a key counts when one of its messages was sent or first heard of between these instants; a day ago, now
--   findings_max   list at most so many keys; 200
-- This is check D1 of the duplicate-send audit. A message belongs to a key by our link or by the key that the provider
-- echoes; messages of people and of leads are never ours. No key at all is no proof of anything.
\if :{?since} \else \set since 'now() - interval \'1 day\'' \endif
\if :{?until} \else \set until 'now()' \endif
\if :{?findings_max} \else \set findings_max 200 \endif

WITH seen AS MATERIALIZED (
    SELECT p.* FROM queue_pipeline.provider_message p
    WHERE p.direction = 'outbound' AND p.author NOT IN ('person', 'lead')
      AND (p.first_seen_at >= :since AND p.first_seen_at < :until OR p.sent_at >= :since AND p.sent_at < :until)
), subject AS (
    SELECT o.idempotency_key FROM seen s JOIN queue_pipeline.outbound_message o USING (outbound_message_id)
    UNION
    SELECT s.idempotency_key FROM seen s WHERE s.idempotency_key IS NOT NULL
), evidence AS (
    SELECT k.idempotency_key AS subject, 'link' AS route, o.outbound_message_id, p.provider, p.account, p.kind, p.provider_message_id
    FROM subject k
    JOIN queue_pipeline.outbound_message o ON o.idempotency_key = k.idempotency_key
    JOIN queue_pipeline.provider_message p ON p.outbound_message_id = o.outbound_message_id AND
        p.direction = 'outbound' AND p.author NOT IN ('person', 'lead')
    UNION ALL
    SELECT k.idempotency_key, 'echo', o.outbound_message_id, p.provider, p.account, p.kind, p.provider_message_id
    FROM subject k
    JOIN queue_pipeline.provider_message p ON p.idempotency_key = k.idempotency_key AND
        p.direction = 'outbound' AND p.author NOT IN ('person', 'lead')
    LEFT JOIN queue_pipeline.outbound_message o ON o.idempotency_key = k.idempotency_key
), finding AS (
    SELECT p.subject, array_agg(DISTINCT p.outbound_message_id) FILTER (WHERE p.outbound_message_id IS NOT NULL) AS outbound_message_ids,
           jsonb_agg(DISTINCT jsonb_build_array(p.provider, p.account, p.kind, p.provider_message_id)) AS evidence,
           jsonb_build_object(
               'messages', count(DISTINCT (p.provider, p.account, p.provider_message_id)),
               'by_link', count(DISTINCT (p.provider, p.account, p.provider_message_id)) FILTER (WHERE p.route = 'link'),
               'by_echo', count(DISTINCT (p.provider, p.account, p.provider_message_id)) FILTER (WHERE p.route = 'echo')) AS facts,
           count(*) OVER () AS found
    FROM evidence p
    GROUP BY p.subject
    HAVING count(DISTINCT (p.provider, p.account, p.provider_message_id)) > 1
)
SELECT 'duplicate_sends' AS check_name, CASE WHEN count(*) > 0 THEN 'fail' ELSE 'pass' END AS verdict, count(*) AS value, 0 AS bound,
       NULL::text AS subject, NULL::bigint[] AS outbound_message_ids, NULL::jsonb AS evidence, NULL::jsonb AS facts,
       count(*) AS found
FROM finding
UNION ALL (
    SELECT 'duplicate_sends', 'fail', NULL, NULL, subject, outbound_message_ids, evidence, facts, found
    FROM finding ORDER BY subject LIMIT :findings_max
);
