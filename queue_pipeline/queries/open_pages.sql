-- Is anything wrong that calls people? One row for each kind of open incident; forced ones that prove the path do not count.

SELECT kind, severity, count(*) AS incidents
FROM queue_pipeline.alert_incident
WHERE status <> 'resolved' AND split_part(dedup_key, chr(58), 3) <> 'proof'
GROUP BY kind, severity
ORDER BY kind, severity;
