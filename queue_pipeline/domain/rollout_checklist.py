"""The checklist of a rollout: everything that must be known and good before anybody says GO."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from queue_pipeline.domain.alert_condition import without_addresses
from queue_pipeline.domain.alert_proof import FRESH_SECONDS, KINDS
from queue_pipeline.domain.canary import CanaryContract
from queue_pipeline.domain.canary_verdict import CanaryVerdict, Item
from queue_pipeline.domain.flag import RECOVERY_MODE, ROLLBACK_MODE
from queue_pipeline.domain.measurement import Measurement
from queue_pipeline.domain.rollback import RULES_BY_CODE
from queue_pipeline.domain.rollout_decision import ChecklistItem, Status
from queue_pipeline.domain.slo_report import DUPLICATES, FAILURES, QUEUE_AGE, WAITS, SloReport

REPLAY_FRESH_SECONDS = 86_400.0
MODES = (RECOVERY_MODE, ROLLBACK_MODE)
_ROLLED_BACK = "rolled back"

CANARY_ITEMS = (
    "canary: window", "canary: samples", "canary: started jobs", "canary: queue age p95", "canary: failure rate",
    "canary: duplicate sends", "canary: contention", "canary: rollback",
)  # fmt: skip
#: Without any one of these nothing is GO.
REQUIRED: Sequence[str] = (
    *CANARY_ITEMS, "failure contract", QUEUE_AGE, WAITS, FAILURES, DUPLICATES, "duplicate-send audit", "unknown sends",
    "replay gate", *(f"alert path {kind}" for kind in KINDS), *MODES, "database schema", "open pages",
)  # fmt: skip


@dataclass(frozen=True)
class AuditFacts:
    """What the duplicate-send audit of the canary's days came to, and the command that asks it again."""

    verdict: str
    said: str
    command: str


@dataclass(frozen=True)
class RolloutFacts:
    """Everything that the checklist looks at. None where there is nothing to look at.

    `drafter` and `sink` are those that are configured now; `schema_problem` is why the schema does not fit the program.
    """

    verdict: CanaryVerdict | None
    contract: CanaryContract | None
    slo: SloReport
    rollbacks: Measurement
    audit: AuditFacts
    unknown_sends: Measurement
    replay: Measurement
    drafter: str | None
    proofs: Measurement
    sink: str
    modes: Mapping[str, str]
    schema: Measurement
    schema_problem: str | None
    pages: Measurement


def checklist(facts: RolloutFacts) -> list[ChecklistItem]:
    """Every item that can be said something about; what is absent is unmeasured by being required."""
    told = (QUEUE_AGE, WAITS, FAILURES, DUPLICATES)
    return [
        *_canary(facts),
        *(item for item in facts.slo.items if item.name in told),
        _audit(facts.audit),
        _unknown(facts.unknown_sends),
        _replay(facts.replay, facts.drafter),
        *(_alert_path(facts.proofs, kind, facts.sink) for kind in KINDS),
        *(_mode(name, facts.modes) for name in MODES),
        _schema(facts.schema, facts.schema_problem),
        _pages(facts.pages),
    ]


def _canary(facts: RolloutFacts) -> list[ChecklistItem]:
    if facts.verdict is None or facts.contract is None:
        return []
    samples = facts.slo.measurements["canary_window"].file
    backs = [item for item in facts.verdict.items if item.name == _ROLLED_BACK]
    shortened = facts.contract.shortened()
    return [
        *(_from_verdict(item, facts.slo) for item in facts.verdict.items if item.name != _ROLLED_BACK),
        ChecklistItem(
            "canary: rollback",
            "fail" if backs else "pass",
            "; ".join(without_addresses(item.value) for item in backs) or "no rule said back",
            "never rolled back",
            facts.rollbacks.file,
            _knobs_of(facts.rollbacks),
        ),
        ChecklistItem(
            "failure contract",
            "unmeasured" if shortened else "pass",
            "; ".join(shortened) or "as it stands",
            "warm-up, window, samples and started jobs not shortened",
            samples,
            ("`queue-pipeline canary start` without shorter times",),
        ),
    ]


def _knobs_of(rollbacks: Measurement) -> tuple[str, ...]:
    """The knobs of every rule that turned the canary back."""
    rules = [RULES_BY_CODE.get(row["rule"]) for row in rollbacks.rows if row["mode"] == "enforce"]
    return tuple(knob for rule in rules if rule is not None for knob in rule.knobs)


def _from_verdict(item: Item, slo: SloReport) -> ChecklistItem:
    knobs = RULES_BY_CODE[item.rule].knobs if item.rule is not None else ("the canary's share: more of it, or longer",)
    source = slo.measurements["canary_contention" if item.rule == "contention" else "canary_window"]
    return ChecklistItem(f"canary: {item.name}", item.status, item.value, item.bound, source.file, knobs)


def _audit(audit: AuditFacts) -> ChecklistItem:
    statuses: Mapping[str, Status] = {"pass": "pass", "breach": "fail"}
    status = statuses.get(audit.verdict, "unmeasured")
    knobs = ("`queue-pipeline audit sends` names the messages; keep sends.enabled off until the cause is known",)
    return ChecklistItem("duplicate-send audit", status, audit.said, "pass for the canary's days", audit.command, knobs)


def _unknown(sends: Measurement) -> ChecklistItem:
    overdue = sends.one().get("overdue")
    status: Status = "unmeasured" if overdue is None else "fail" if overdue else "pass"
    knobs = ("`queue-pipeline sends` shows them; a person decides with `sends decide`",)
    return ChecklistItem("unknown sends", status, str(overdue), "0 older than 30 min", sends.file, knobs)


def _replay(replay: Measurement, drafter: str | None) -> ChecklistItem:
    row = replay.one()
    bound = "the latest replay passed, is younger than 24 h, and was made with the drafter that is configured"
    knobs = (
        "`queue-pipeline replay` with the drafter that is configured; its report names the cases",
        "the drafter's model and prompt",
    )
    if not row:
        return ChecklistItem("replay gate", "unmeasured", "no replay on record", bound, replay.file, knobs)
    counts = f"{row['passed']} of {row['cases']} cases"
    said = f"{row['run_id']}: {row['verdict']}, {counts}, {_hours(row['age_seconds'])} ago"
    doubts = []
    if row["age_seconds"] > REPLAY_FRESH_SECONDS:
        doubts.append("too old")
    if row["drafts"] != "generate":
        doubts.append("it drafted nothing")
    if drafter is None or row["drafter"] != drafter:
        doubts.append(f"made with {row['drafter']}, configured is {drafter or 'none that can be asked'}")
    passed = row["exit_code"] == 0 and not doubts
    status: Status = "fail" if row["exit_code"] == 1 else "pass" if passed else "unmeasured"
    return ChecklistItem("replay gate", status, "; ".join([said, *doubts]), bound, replay.file, knobs)


def _alert_path(proofs: Measurement, kind: str, sink: str) -> ChecklistItem:
    row = proofs.of("kind", kind)
    bound = f"forced within 24 h and read back from {sink}"
    knobs = ("`queue-pipeline alerts prove`", "SLACK_BOT_TOKEN and SLACK_CHANNEL: a console cannot be read back")
    name = f"alert path {kind}"
    if not row:
        return ChecklistItem(name, "unmeasured", "never proved", bound, proofs.file, knobs)
    said = f"reached {row['sink']} {_hours(row['age_seconds'])} ago"
    said += ", read back" if row["read_back"] else ", not read back"
    proved = row["read_back"] and row["sink"] == sink and row["age_seconds"] <= FRESH_SECONDS
    return ChecklistItem(name, "pass" if proved else "unmeasured", said, bound, proofs.file, knobs)


def _mode(name: str, modes: Mapping[str, str]) -> ChecklistItem:
    value = modes.get(name)
    status: Status = "unmeasured" if value is None else "pass" if value == "enforce" else "fail"
    knobs = (f"`queue-pipeline flags set {name} enforce`",)
    return ChecklistItem(name, status, str(value), "enforce", "queue-pipeline flags", knobs)


def _schema(schema: Measurement, problem: str | None) -> ChecklistItem:
    status: Status = "fail" if problem else "pass"
    said = problem or f"revision {schema.one().get('revision')}"
    return ChecklistItem("database schema", status, said, "this program's", schema.file, ("`queue-pipeline migrate`",))


def _pages(pages: Measurement) -> ChecklistItem:
    wrong = [row for row in pages.rows if row["severity"] == "page"]
    said = ", ".join(f"{row['incidents']} {row['kind']}" for row in wrong) or "none"
    knobs = ("`queue-pipeline alerts` and the section of the runbook that each names",)
    return ChecklistItem("open pages", "fail" if wrong else "pass", said, "none", pages.file, knobs)


def _hours(seconds: float) -> str:
    return f"{max(0.0, seconds) / 3600:.1f} h"
