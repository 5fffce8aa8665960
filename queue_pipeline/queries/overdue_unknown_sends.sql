-- Is it unknown of any message for too long whether it was sent? One row.
--
-- Parameters, with what plain psql takes when they are not set:
--   at              as of this instant; now
--   older_seconds   too long; 1800
\if :{?at} \else \set at 'now()' \endif
\if :{?older_seconds} \else \set older_seconds 1800 \endif

SELECT count(*) FILTER (WHERE state = 'UNKNOWN' AND unknown_since <= CAST(:at AS timestamptz) - make_interval(secs => CAST(:older_seconds AS float8))) AS overdue,
       count(*) FILTER (WHERE state = 'UNKNOWN') AS unknown,
       count(*) FILTER (WHERE state = 'NEEDS_HUMAN') AS needs_human
FROM queue_pipeline.outbound_message WHERE state IN ('UNKNOWN', 'NEEDS_HUMAN');
