"""A whole replay: the judge's self-test, the cases, the verdict, the artifact."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from queue_pipeline import InvalidInput
from queue_pipeline.leads import draft_prompt, phrases
from queue_pipeline.leads.gates.check import check_draft
from queue_pipeline.leads.gates.words import RULE_VERSION
from queue_pipeline.leads.ports import Drafter
from queue_pipeline.leads.replay import case_record, gate
from queue_pipeline.leads.replay.adjudication import Clock
from queue_pipeline.leads.replay.artifact import (
    Artifact,
    BaselineDiff,
    CanaryRecord,
    CaseRecord,
    Config,
    SelectionRecord,
    SelfTestRecord,
)
from queue_pipeline.leads.replay.baseline import compare
from queue_pipeline.leads.replay.evaluation import REFERENCE, Bench, Check
from queue_pipeline.leads.replay.failure import EndpointAway, EvaluatorRaised, FailureType, JudgeFailed, ReplayFailure
from queue_pipeline.leads.replay.journal import Journal
from queue_pipeline.leads.replay.judge import BAND, PROFILES, Judge
from queue_pipeline.leads.replay.selection import Selection, canonical_sha256
from queue_pipeline.leads.replay.self_test import SelfTest, self_test
from queue_pipeline.leads.replay.trial_run import evaluate_all

CONCURRENCY_MAX = 32


@dataclass(frozen=True)
class Options:
    """How to replay. `call_seconds` bounds one call of a model, `timeout_seconds` the whole."""

    dry_run: bool = False
    concurrency: int = 3
    judge_profile: str = "strict"
    timeout_seconds: float = 1800.0
    call_seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.judge_profile not in PROFILES:
            raise InvalidInput("--judge-profile", self.judge_profile, f"Known profiles: {', '.join(PROFILES)}.")
        if not 1 <= self.concurrency <= CONCURRENCY_MAX:
            raise InvalidInput("--concurrency", self.concurrency, f"Give 1 to {CONCURRENCY_MAX}.")
        if not 0 < self.timeout_seconds <= 86_400:
            raise InvalidInput("--timeout", self.timeout_seconds, "Give more than 0 and at most 86400 seconds.")


@dataclass(frozen=True)
class Benchmark:
    """Who drafts and who judges."""

    drafter: Drafter
    drafter_name: str
    judge: Judge
    check: Check = check_draft


@dataclass(frozen=True)
class Progress:
    """Called as the replay goes on: with what is done now, and with each case that has ended."""

    stage: Callable[[str], None] = field(default=lambda _: None)
    case: Callable[[CaseRecord], None] = field(default=lambda _: None)


def replay(
    selection: Selection,
    bench: Benchmark,
    options: Options,
    *,
    created_at: datetime,
    journal: Path,
    resume: bool = False,
    baseline: Artifact | None = None,
    progress: Progress | None = None,
) -> Artifact:
    """Replay the selection and give the artifact, whatever happens to drafter and judge.

    Raises InvalidInput when the journal cannot be resumed, OSError when it cannot be written.
    """
    return _Replay(selection, bench, options, baseline, progress or Progress()).go(created_at, journal, resume)


class _Replay:
    """One replay on its way."""

    def __init__(
        self,
        selection: Selection,
        bench: Benchmark,
        options: Options,
        baseline: Artifact | None,
        progress: Progress,
    ) -> None:
        self.selection = selection
        self.bench = bench
        self.options = options
        self.baseline = baseline
        self.progress = progress
        self.clock = Clock(options.timeout_seconds, each=options.call_seconds)
        self.threshold = PROFILES[options.judge_profile]
        self.config = self._config()
        self.tested: SelfTest | None = None

    def go(self, created_at: datetime, path: Path, resume: bool) -> Artifact:
        journal = self._journal(created_at, path, resume)
        found = self._cases(journal)
        return self._artifact(journal, found)

    def _journal(self, created_at: datetime, path: Path, resume: bool) -> Journal:
        sha256 = self.selection.sha256
        head = {
            "runId": f"replay-{created_at:%Y%m%dT%H%M%S%fZ}-{sha256[:8]}",
            "createdAt": created_at.isoformat(),
            "manifestSha256": sha256,
            "configSha256": canonical_sha256(self.config.model_dump(mode="json")),
        }
        journal = Journal(path, head)
        return journal.resume() if resume else journal.begin()

    def _cases(self, journal: Journal) -> list[CaseRecord]:
        manifest = self.selection.manifest
        missing = [case_record.missing(name, why, manifest.tiers) for name, why in self.selection.missing.items()]
        if not manifest.cases:
            return missing
        unfit = self._unfit()
        if unfit is not None:
            return [*(case_record.not_run(case, unfit, manifest.tiers) for case in manifest.cases), *missing]
        self.progress.stage(f"{len(manifest.cases)} cases")
        for case in journal.finished.values():
            self.progress.case(case)
        left = [case for case in manifest.cases if case.case_id not in journal.finished]
        ended = evaluate_all(
            left,
            self._bench(),
            tiers=manifest.tiers,
            concurrency=self.options.concurrency,
            finished=lambda case: self._ended(case, journal),
        )
        records = {**journal.finished, **{case.case_id: case for case in ended}}
        return [*(records[case.case_id] for case in manifest.cases), *missing]

    def _ended(self, case: CaseRecord, journal: Journal) -> None:
        journal.add(case)
        self.progress.case(case)

    def _unfit(self) -> ReplayFailure | None:
        """Why no case needs to be replayed: the judge is not fit to judge, or cannot be asked."""
        if self.options.dry_run:
            return None
        self.progress.stage("self-test of the judge")
        self.tested = self_test(
            self.bench.judge, threshold=self.threshold, clock=self.clock, concurrency=self.options.concurrency
        )
        if self.tested.passed:
            return None
        kinds = {FailureType.INFRA_ERROR: EndpointAway, FailureType.EXECUTION_ERROR: EvaluatorRaised}
        raised = kinds.get(self.tested.failure_type or FailureType.JUDGE_ERROR, JudgeFailed)
        return raised(f"not replayed: {self.tested.said}")

    def _bench(self) -> Bench:
        return Bench(
            drafter=self.bench.drafter,
            judge=None if self.options.dry_run else self.bench.judge,
            threshold=self.threshold,
            clock=self.clock,
            references_only=self.options.dry_run or self.config.drafts == "reference",
            check=self.bench.check,
        )

    def _artifact(self, journal: Journal, cases: list[CaseRecord]) -> Artifact:
        selection, manifest = self.selection, self.selection.manifest
        difference = self._difference(cases)
        result = self._result(cases, difference)
        if result.verdict == "unmeasured":
            cases = [gate.uncounted(case) for case in cases]
        return Artifact(
            run_id=journal.head["runId"],
            created_at=datetime.fromisoformat(journal.head["createdAt"]),
            manifest_id=manifest.manifest_id,
            manifest_sha256=selection.sha256,
            verdict=result.verdict,
            exit_code=result.exit_code,
            reasons=list(result.reasons),
            config=self.config,
            selection=SelectionRecord(
                source=selection.source,
                count=len(selection.case_ids),
                missing=list(selection.missing),
                warnings=list(selection.warnings),
            ),
            summary=gate.summarised(cases, critical=manifest.tiers.critical()),
            self_test=None if self.tested is None else _self_test_record(self.tested),
            cases=cases,
            baseline_diff=difference,
            versions=versions(),
        )

    def _difference(self, cases: Sequence[CaseRecord]) -> BaselineDiff | None:
        if self.baseline is None or self.options.dry_run:
            return None
        return compare(self.baseline, cases, config=self.config, manifest_sha256=self.selection.sha256)

    def _result(self, cases: Sequence[CaseRecord], difference: BaselineDiff | None) -> gate.GateResult:
        if self.options.dry_run:
            return gate.looked_at(cases, named=self.selection.case_ids)
        return gate.judged_whole(
            cases,
            named=self.selection.case_ids,
            critical=self.selection.manifest.tiers.critical(),
            threshold=self.config.pass_threshold,
            judge_is_fit=self.tested is not None and self.tested.passed,
            baseline=difference,
        )

    def _config(self) -> Config:
        judge = self.bench.judge.identity
        plan = self.selection.manifest.plan()
        references = self.options.dry_run or plan.drafts == "reference"
        return Config(
            dry_run=self.options.dry_run,
            drafts="reference" if references else "generate",
            drafter=REFERENCE if references else self.bench.drafter_name,
            draft_prompt_version=draft_prompt.VERSION,
            draft_prompt_sha256=draft_prompt.SHA256,
            judge=judge.name,
            judge_is_model=judge.is_model,
            judge_prompt_key=judge.prompt_key,
            judge_prompt_version=judge.prompt_version,
            judge_prompt_sha256=judge.prompt_sha256,
            judge_system_prompt=judge.system_prompt,
            judge_model=judge.model,
            judge_endpoint_host=judge.endpoint_host,
            judge_parameters=dict(judge.parameters),
            judge_profile=self.options.judge_profile,
            judge_threshold=self.threshold,
            adjudication_band=(self.threshold - BAND, self.threshold + BAND),
            pass_threshold=plan.threshold,
            gate_rules=f"gates {RULE_VERSION}; phrases {phrases.VERSION}",
        )


def versions() -> dict[str, str]:
    """What the replay ran on."""
    found: dict[str, Any] = {"python": platform.python_version()}
    for package in ("queue-pipeline", "pydantic", "pydantic-ai-slim", "openai"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _self_test_record(tested: SelfTest) -> SelfTestRecord:
    return SelfTestRecord(
        passed=tested.passed,
        said=tested.said,
        canaries=[
            CanaryRecord(
                name=one.name,
                expected=one.expected,
                answered=one.answered,
                right=one.right,
                opinion=one.opinion,
                failure=None if one.failure is None else f"{one.failure.failure_type}: {one.failure}",
            )
            for one in tested.answers
        ],
    )
