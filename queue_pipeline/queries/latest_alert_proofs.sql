-- Was it proved that alerts reach people? One row for each kind that was forced, its latest proof.
--
-- Parameters, with what plain psql takes when they are not set:
--   at   as of this instant; now
-- read_back: the message was found again in the sink itself, which a console cannot do.
\if :{?at} \else \set at 'now()' \endif

SELECT DISTINCT ON (kind) kind, incident_id, sink, seen_by_reading_back AS read_back,
       extract(epoch FROM CAST(:at AS timestamptz) - forced_at)::float8 AS age_seconds,
       extract(epoch FROM reached_at - forced_at)::float8 AS reached_after_seconds
FROM queue_pipeline.alert_proof WHERE forced_at <= CAST(:at AS timestamptz)
ORDER BY kind, alert_proof_id DESC;
