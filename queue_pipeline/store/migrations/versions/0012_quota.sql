-- Quotas: promotions, demotions and escalations of workspaces.

-- What people and rules say about a workspace's quota; `workspace_lane.quota` is what is in force. Nobody has a row
-- before somebody decides about it: such a workspace has the default.
CREATE TABLE workspace_quota (
    workspace        text PRIMARY KEY REFERENCES workspace_lane,
    eligible         boolean     NOT NULL DEFAULT false, -- may be promoted; no promotion by itself
    tier             text        NOT NULL DEFAULT 'standard',
    own_quota        integer, -- set by a person; NULL: that of the tier
    rule_code        text        NOT NULL DEFAULT 'not_eligible', -- what the rules said last
    judged_at        timestamptz NOT NULL DEFAULT '-infinity', -- samples up to here have been judged
    judged_since     timestamptz NOT NULL DEFAULT clock_timestamp(), -- windows that began before do not count
    duplicates_since timestamptz NOT NULL DEFAULT clock_timestamp(), -- duplicates heard of before have been answered
    CONSTRAINT quota_tier_known CHECK (tier IN ('standard', 'promoted')),
    CONSTRAINT quota_own_in_range CHECK (own_quota BETWEEN 1 AND 1000000)
) WITH (fillfactor = 50);
CREATE INDEX workspace_quota_watched ON workspace_quota (workspace) WHERE eligible OR tier = 'promoted';

-- A higher quota for a while, by a person's word. It ends by itself, at `expires_at` of the database's clock.
CREATE TABLE quota_escalation (
    quota_escalation_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workspace  text        NOT NULL REFERENCES workspace_lane,
    quota      integer     NOT NULL,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at timestamptz NOT NULL,
    who        text        NOT NULL CHECK (who <> ''),
    approver   text        NOT NULL CHECK (approver <> ''),
    why        text        NOT NULL CHECK (why <> ''),
    ended_at   timestamptz,
    ended_by   text,
    end_reason text,
    CONSTRAINT escalation_quota_in_range CHECK (quota BETWEEN 1 AND 1000000),
    CONSTRAINT escalation_expires_later CHECK (expires_at > started_at),
    CONSTRAINT escalation_end_is_told CHECK ((ended_at IS NULL) = (ended_by IS NULL) AND (ended_at IS NULL) = (end_reason IS NULL))
);
CREATE UNIQUE INDEX escalation_one_at_a_time ON quota_escalation (workspace) WHERE ended_at IS NULL;
CREATE INDEX escalation_next_to_expire ON quota_escalation (expires_at) WHERE ended_at IS NULL;

-- Every answer that changed, or its reason did, and every word of a person.
CREATE TABLE quota_decision (
    quota_decision_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    decided_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    workspace   text        NOT NULL,
    from_quota  integer     NOT NULL,
    to_quota    integer     NOT NULL,
    from_tier   text        NOT NULL,
    to_tier     text        NOT NULL,
    reason_code text        NOT NULL,
    said        text        NOT NULL CHECK (said <> ''),
    healthy_windows integer NOT NULL DEFAULT 0,
    breach_windows  integer NOT NULL DEFAULT 0,
    signals     jsonb       NOT NULL DEFAULT '{}',
    who         text        NOT NULL CHECK (who <> ''),
    CONSTRAINT quota_decision_tiers_known CHECK (from_tier IN ('standard', 'promoted') AND to_tier IN ('standard', 'promoted')),
    CONSTRAINT quota_decision_reason_known CHECK (reason_code IN (
        'promoted', 'not_eligible', 'windows_counting', 'window_unhealthy', 'demoted_duplicate', 'demoted_failures',
        'demoted_contention', 'escalated', 'escalation_expired', 'escalation_ended', 'quota_set', 'quota_unset',
        'eligibility_set', 'weight_set'))
);
CREATE INDEX quota_decision_of_workspace ON quota_decision (workspace, quota_decision_id);
CREATE INDEX quota_decision_by_time ON quota_decision (decided_at);
CREATE TRIGGER quota_decision_is_append_only BEFORE UPDATE ON quota_decision FOR EACH ROW EXECUTE FUNCTION refuse_change();

-- Each minute, for the workspaces that are eligible, promoted or escalated: what the rules look at. Counts are of what
-- happened since the sample before; the database's numbers are the same for all workspaces of one instant.
CREATE TABLE workspace_sample (
    workspace    text        NOT NULL,
    sampled_at   timestamptz NOT NULL,
    oldest_due_age_seconds double precision NOT NULL,
    finished     bigint      NOT NULL,
    failed       bigint      NOT NULL,
    duplicates   bigint      NOT NULL,
    sessions     integer     NOT NULL,
    lock_waiting integer     NOT NULL,
    deadlocks    bigint      NOT NULL, -- since the statistics were reset; the difference counts
    PRIMARY KEY (workspace, sampled_at)
);
CREATE INDEX workspace_sample_by_time ON workspace_sample USING brin (sampled_at) WITH (autosummarize = on);
