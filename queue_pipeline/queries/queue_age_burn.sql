-- How many minutes were bad: the oldest due job older than the limit, or no sample? One row for each look back.
--
-- Parameters, with what plain psql takes when they are not set:
--   until           looked back from here; now
--   limit_seconds   the limit of the queue age; 300
-- Minutes before the first sample of all do not count. The burn rate is bad / minutes, over what the objective allows.
\if :{?until} \else \set until 'now()' \endif
\if :{?limit_seconds} \else \set limit_seconds 300 \endif

WITH begun AS (
    SELECT greatest(0, floor(extract(epoch FROM CAST(:until AS timestamptz) - min(sampled_at)) / 60))::bigint AS minutes
    FROM queue_pipeline.health_sample
), back AS (
    SELECT w.look_back, w.minutes AS whole, least(w.minutes, coalesce(b.minutes, 0)) AS minutes
    FROM (VALUES ('5 min', 5), ('30 min', 30), ('1 h', 60), ('6 h', 360), ('3 d', 4320)) w(look_back, minutes) CROSS JOIN begun b
)
SELECT k.look_back, k.minutes,
       greatest(0, k.minutes - (
           SELECT count(*) FROM (
               SELECT floor(extract(epoch FROM CAST(:until AS timestamptz) - h.sampled_at) / 60) AS minute
               FROM queue_pipeline.health_sample h
               WHERE h.sampled_at <= CAST(:until AS timestamptz) AND h.sampled_at > CAST(:until AS timestamptz) - make_interval(mins => k.minutes::int)
               GROUP BY 1 HAVING max(h.oldest_due_age_seconds) <= CAST(:limit_seconds AS float8)) good)) AS bad
FROM back k
ORDER BY k.whole;
