-- Did a rule turn a canary back, or would one have? One row for each rule that spoke.
--
-- Parameters, with what plain psql takes when they are not set:
--   canary_id   the canary; the latest
-- mode: enforce is done, observe is only told.
\if :{?canary_id} \else \set canary_id '(SELECT max(canary_id) FROM queue_pipeline.canary)' \endif

SELECT rule, mode, undone_at IS NOT NULL AS undone, acknowledged_at IS NOT NULL AS acknowledged
FROM queue_pipeline.rollback WHERE canary_id = CAST(:canary_id AS bigint)
ORDER BY rollback_id;
