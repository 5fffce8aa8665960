-- Does any idempotency key of a window have more than one message at a provider? One row for each cohort.
--
-- Parameters, with what plain psql takes when they are not set:
--   canary_id      the canary whose workspaces are told apart from all others; the latest. NULL: all are `control`
--   since, until   the instants between which is counted; since the canary's window began, until now
-- A message belongs to a key by our link or by the key that the provider echoes. Its other half may lie outside the
-- window. Messages of which we know no workspace count as control.
\if :{?canary_id} \else \set canary_id '(SELECT max(canary_id) FROM queue_pipeline.canary)' \endif
\if :{?since} \else \set since '(SELECT coalesce(max(coalesce(watching_since, started_at)), now() - interval \'1 hour\') FROM queue_pipeline.canary WHERE canary_id = (SELECT max(canary_id) FROM queue_pipeline.canary))' \endif
\if :{?until} \else \set until 'now()' \endif

WITH place AS NOT MATERIALIZED (
    SELECT l.workspace, CASE WHEN c.canary_id IS NULL THEN 'control' ELSE 'canary' END AS cohort
    FROM queue_pipeline.workspace_lane l
    LEFT JOIN queue_pipeline.canary c ON c.canary_id = CAST(:canary_id AS bigint)
        AND (l.canary_bucket < round(c.share * 100) OR l.workspace = ANY (c.allow))
), seen AS MATERIALIZED (
    SELECT outbound_message_id, idempotency_key FROM queue_pipeline.provider_message
    WHERE direction = 'outbound' AND author NOT IN ('person', 'lead')
      AND (first_seen_at > CAST(:since AS timestamptz) AND first_seen_at <= CAST(:until AS timestamptz)
           OR sent_at > CAST(:since AS timestamptz) AND sent_at <= CAST(:until AS timestamptz))
), subject AS (
    SELECT o.idempotency_key FROM seen s JOIN queue_pipeline.outbound_message o USING (outbound_message_id)
    UNION
    SELECT s.idempotency_key FROM seen s WHERE s.idempotency_key IS NOT NULL
), evidence AS (
    SELECT k.idempotency_key, m.provider, m.account, m.provider_message_id
    FROM subject k JOIN queue_pipeline.outbound_message o USING (idempotency_key)
    JOIN queue_pipeline.provider_message m ON m.outbound_message_id = o.outbound_message_id
    WHERE m.direction = 'outbound' AND m.author NOT IN ('person', 'lead')
    UNION
    SELECT k.idempotency_key, m.provider, m.account, m.provider_message_id
    FROM subject k JOIN queue_pipeline.provider_message m USING (idempotency_key)
    WHERE m.direction = 'outbound' AND m.author NOT IN ('person', 'lead')
), keys AS (
    SELECT coalesce(p.cohort, CASE WHEN EXISTS (
               SELECT FROM queue_pipeline.canary c WHERE c.canary_id = CAST(:canary_id AS bigint)
               AND (queue_pipeline.canary_bucket_of(o.workspace) < round(c.share * 100) OR o.workspace = ANY (c.allow))) THEN 'canary' ELSE 'control' END) AS cohort,
           e.idempotency_key, count(*) AS messages
    FROM evidence e
    LEFT JOIN queue_pipeline.outbound_message o USING (idempotency_key) LEFT JOIN place p ON p.workspace = o.workspace
    GROUP BY 1, 2
)
SELECT c.cohort, count(k.messages) AS keys, count(k.messages) FILTER (WHERE k.messages > 1) AS keys_sent_twice
FROM (VALUES ('canary'), ('control')) c(cohort) LEFT JOIN keys k USING (cohort)
GROUP BY c.cohort
ORDER BY c.cohort;
