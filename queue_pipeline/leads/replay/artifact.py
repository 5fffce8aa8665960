"""The record of a replay: what was asked, what each case came to, and the verdict. Its schema is published."""

from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from queue_pipeline.leads.replay.failure import FailureType
from queue_pipeline.leads.replay.judge import Opinion

SCHEMA_VERSION = 1
Verdict = Literal["pass", "fail", "unmeasured"]
#: `not_counted`: would have passed, in a replay that could not be measured. `not_judged`: looked at in a dry run.
CaseVerdict = Literal["pass", "fail", "unmeasured", "not_counted", "not_judged"]


class Record(BaseModel):
    """A part of the artifact. Names are written in camel case."""

    model_config = ConfigDict(extra="forbid", frozen=True, alias_generator=to_camel, populate_by_name=True)


class FindingRecord(Record):
    """What an invariant or an expectation found; `start` and `end` are indices into the draft."""

    code: str
    severity: str
    start: int
    end: int
    text: str
    why: str
    readings: list[str] = []
    allowed: list[str] = []
    rule_version: str


class VoteRecord(Record):
    """One answer of the judge."""

    opinion: Opinion
    approves: bool
    objections: list[str]
    usage: dict[str, Any] | None = None


class JudgeRecord(Record):
    """What the judge's votes came to; `score` is the median of their weakest scores."""

    decision: Literal["approve", "revise"]
    score: int
    issues: list[str]
    borderline: bool
    agreement: float
    votes: list[VoteRecord]


class LabelRecord(Record):
    """What the manifest says the gate should find, and whether it did."""

    verdict: Literal["pass", "fail"]
    failures: list[str]
    agrees: bool


class CaseRecord(Record):
    """One case: what was decided, drafted, found and judged."""

    case_id: str
    tenant: str = ""
    channel: str = ""
    tiers: list[str] = []
    status: Literal["evaluated", "failed", "skipped", "selected_only"]
    verdict: CaseVerdict
    failure_type: FailureType | None = None
    failure_types: list[FailureType] = []
    failure_reasons: list[str] = []
    expected_action: str = ""
    decided_action: str | None = None
    decision_code: str | None = None
    drafter: str | None = None
    draft_subject: str | None = None
    draft: str | None = None
    draft_usage: dict[str, Any] | None = None
    prompt_sha256: str | None = None
    findings: list[FindingRecord] = []
    judge: JudgeRecord | None = None
    score: int | None = None
    label: LabelRecord | None = None
    seconds: float = 0.0


class Config(Record):
    """How the replay was run. Two replays with the same values are comparable, and a resumed one must have them."""

    dry_run: bool
    drafts: Literal["generate", "reference"]
    drafter: str
    draft_prompt_version: str
    draft_prompt_sha256: str
    judge: str
    judge_is_model: bool
    judge_prompt_key: str
    judge_prompt_version: str
    judge_prompt_sha256: str
    judge_system_prompt: str
    judge_model: str | None
    judge_endpoint_host: str | None
    judge_parameters: dict[str, Any]
    judge_profile: str
    judge_threshold: int
    adjudication_band: tuple[int, int]
    pass_threshold: float
    gate_rules: str


class SelectionRecord(Record):
    """Which cases: `count` is the manifest set, `missing` those of it that nobody has."""

    source: str
    count: int
    missing: list[str]
    warnings: list[str]


class LabelSummary(Record):
    """How often the gate found what the manifest says it should."""

    stated: int
    agreed: int
    disagreements: list[str]


class Summary(Record):
    """The counts behind the verdict. `passed` is 0 whenever the replay could not be measured."""

    count: int
    selected_only: int
    skipped: int
    evaluated: int
    passed: int
    failed: int
    failed_judge: int
    unmeasured: int
    not_counted: int
    evaluator_failures: int
    average_score: float | None
    failure_type_counts: dict[str, int]
    critical_invariant_counts: dict[str, int]
    critical_misses: list[str]
    labels: LabelSummary


class CanaryRecord(Record):
    """The judge's answer about a reply whose verdict is known."""

    name: str
    expected: str
    answered: str | None
    right: bool
    opinion: Opinion | None = None
    failure: str | None = None


class SelfTestRecord(Record):
    """Whether the judge could tell good from bad."""

    passed: bool
    said: str
    canaries: list[CanaryRecord]


class CaseChange(Record):
    """A case whose verdict flipped, or whose score moved by at least the limit."""

    case_id: str
    was: CaseVerdict
    now: CaseVerdict
    score_was: int | None
    score_now: int | None


class BaselineDiff(Record):
    """This replay against an earlier one. Scores are compared only where the same judge gave them."""

    run_id: str
    same_manifest: bool
    same_judge: bool
    improved: list[CaseChange]
    regressed: list[CaseChange]
    added: list[str]
    removed: list[str]


class Artifact(Record):
    """A whole replay."""

    schema_version: Literal[1] = 1
    run_id: str
    created_at: AwareDatetime
    manifest_id: str
    manifest_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    verdict: Verdict
    exit_code: Literal[0, 1, 2]
    reasons: list[str]
    config: Config
    selection: SelectionRecord
    summary: Summary
    self_test: SelfTestRecord | None
    cases: list[CaseRecord]
    baseline_diff: BaselineDiff | None
    versions: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The artifact as JSON values, with its published names."""
        found: dict[str, Any] = self.model_dump(mode="json", by_alias=True)
        return found
