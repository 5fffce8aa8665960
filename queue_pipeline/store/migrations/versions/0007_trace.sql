-- Trace: from a job to what it waited for, from a message id to its job; each read through an index.

CREATE INDEX recovery_decision_of_run ON recovery_decision (function_run_id) WHERE function_run_id IS NOT NULL;
CREATE INDEX recovery_decision_of_job ON recovery_decision (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX function_run_by_shard ON function_run (shard, started_at);
CREATE INDEX window_by_shard ON dispatch_window (shard, opened_at);
CREATE INDEX attempt_that_hung ON job_attempt (function_run_id) WHERE outcome IN ('LOST', 'TIMED_OUT');
CREATE INDEX late_write_of_job ON late_write (job_id);
CREATE INDEX provider_message_by_id ON provider_message (provider_message_id);
