-- How did the latest replay of recorded leads end? One row, or none; dry runs do not count.
--
-- Parameters, with what plain psql takes when they are not set:
--   at   as of this instant; now
-- exit_code: 0 passed, 1 a measured failure, 2 could not be measured.
\if :{?at} \else \set at 'now()' \endif

SELECT run_id, manifest_sha256, verdict, exit_code,
       extract(epoch FROM CAST(:at AS timestamptz) - recorded_at)::float8 AS age_seconds,
       artifact #>> '{config,drafter}' AS drafter, artifact #>> '{config,drafts}' AS drafts, artifact #>> '{config,judge}' AS judge,
       CAST(artifact #>> '{summary,count}' AS bigint) AS cases, CAST(artifact #>> '{summary,passed}' AS bigint) AS passed,
       artifact_sha256
FROM queue_pipeline.replay_run
WHERE artifact #>> '{config,dryRun}' = 'false' AND recorded_at <= CAST(:at AS timestamptz)
ORDER BY replay_run_id DESC LIMIT 1;
