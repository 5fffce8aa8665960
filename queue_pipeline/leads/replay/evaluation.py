"""One case, from its message to its verdict: production's rules decide, a draft is written, everything looks at it.

Nothing here can send: a case gets a drafter and a judge, and neither a job nor a book of leads.
"""

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from queue_pipeline.leads import draft_prompt
from queue_pipeline.leads.classification import Classification, classify
from queue_pipeline.leads.decision import Action, Decision, decide
from queue_pipeline.leads.gates.case import DraftCase
from queue_pipeline.leads.gates.check import Finding, check_draft
from queue_pipeline.leads.ports import Drafted, Drafter, DraftRequest
from queue_pipeline.leads.replay import failure
from queue_pipeline.leads.replay.adjudication import Clock, Judgement, adjudicate
from queue_pipeline.leads.replay.expectations import unmet
from queue_pipeline.leads.replay.judge import Judge, Reply
from queue_pipeline.leads.replay.manifest import Case
from queue_pipeline.leads.template_drafter import subject_of_reply

Check = Callable[[DraftCase], Sequence[Finding]]
REFERENCE = "the manifest's reference draft"


@dataclass(frozen=True)
class Evaluated:
    """What became of a case. `measured` says that its verdict is known; `passed` means nothing without it."""

    case_id: str
    measured: bool
    passed: bool
    failures: tuple[failure.ReplayFailure, ...] = ()
    decision: Decision | None = None
    draft: Drafted | None = None
    prompt_sha256: str | None = None
    findings: tuple[Finding, ...] = ()
    judgement: Judgement | None = None
    only_selected: bool = False
    seconds: float = 0.0

    @property
    def failure(self) -> failure.ReplayFailure | None:
        """The failure that names the case."""
        return failure.first(self.failures)


@dataclass(frozen=True)
class Bench:
    """What every case of a replay meets. Without a judge (a dry run) no draft is approved, only looked at."""

    drafter: Drafter
    judge: Judge | None
    threshold: int
    clock: Clock
    references_only: bool
    check: Check = check_draft


def evaluate(case: Case, bench: Bench) -> Evaluated:
    """Evaluate one case. Never raises; whatever goes wrong is a failure of the case, and no pass."""
    started = time.monotonic()
    trial = _Trial(case, bench)
    try:
        trial.go()
    except failure.ReplayFailure as error:
        trial.failures.append(error)
    except Exception as error:  # noqa: BLE001 - an evaluator's bug must fail its case, and be seen
        trial.failures.append(failure.EvaluatorRaised(f"the evaluation raised {type(error).__name__}"))
    return trial.ended(time.monotonic() - started)


class _Trial:
    """A case on its way."""

    def __init__(self, case: Case, bench: Bench) -> None:
        self.case = case
        self.bench = bench
        self.failures: list[failure.ReplayFailure] = []
        self.decision: Decision | None = None
        self.draft: Drafted | None = None
        self.prompt_sha256: str | None = None
        self.findings: list[Finding] = []
        self.judgement: Judgement | None = None
        self.only_selected = False

    def go(self) -> None:
        """Decide, draft, look. A wrong decision ends the case: production would never have come to the draft."""
        found = classify(self.case.message(), phone_known=self.case.phone_known)
        self.decision = self._decided(found)
        if not _as_expected(self.decision.action, self.case.expected.action):
            raise failure.DecisionDiffers(
                f"the rules decide {self.decision.action} ({self.decision.code}: {self.decision.why}), "
                f"the manifest expects {self.case.expected.action}"
            )
        if self.decision.action is not Action.DRAFT:
            return
        self._write(found)
        if self.draft is None:
            self.only_selected = True
            return
        self._look(self.draft)

    def ended(self, seconds: float) -> Evaluated:
        """What became of it."""
        measured = not self.only_selected and all(one.failure_type in failure.MEASURED for one in self.failures)
        return Evaluated(
            case_id=self.case.case_id,
            measured=measured,
            passed=measured and not self.failures,
            failures=tuple(self.failures),
            decision=self.decision,
            draft=self.draft,
            prompt_sha256=self.prompt_sha256,
            findings=tuple(self.findings),
            judgement=self.judgement,
            only_selected=self.only_selected,
            seconds=round(seconds, 3),
        )

    def _decided(self, found: Classification) -> Decision:
        return decide(
            found,
            lead_known=self.case.inbound.from_address is not None,
            open_slots=len(self.case.open_slots()),
            body=self.case.inbound.body,
            now=self.case.reference_now,
            timezone=self.case.timezone,
        )

    def _write(self, found: Classification) -> None:
        assert self.decision is not None
        request = self._request(found, self.decision)
        prompt = f"{draft_prompt.SYSTEM}\n{draft_prompt.user_message(request)}"
        self.prompt_sha256 = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()
        if self.bench.references_only:
            if self.case.reference_draft is not None:
                subject = subject_of_reply(self.case.message())
                self.draft = Drafted(subject, self.case.reference_draft, REFERENCE, is_template=False)
            elif self.bench.judge is not None:
                raise failure.NotSelected("the manifest's strategy is `reference`, and the case has no reference_draft")
            return
        try:
            written = self.bench.drafter.draft(request)
        except Exception as error:
            raise failure.of_drafter(error) from error
        if not isinstance(written, Drafted):
            raise failure.NoDraft(f"the drafter gave {type(written).__name__} instead of a draft")
        self.draft = written

    def _request(self, found: Classification, decision: Decision) -> DraftRequest:
        return DraftRequest(
            message=self.case.message(),
            message_class=found.message_class,
            now=self.case.reference_now,
            timezone=self.case.timezone,
            slots=self.case.open_slots(),
            thread=self.case.turns(),
            allowed_links=self.case.allowed_links,
            ask_for_phone=decision.ask_for_phone,
            seconds=self.bench.clock.for_one_call(),
        )

    def _look(self, draft: Drafted) -> None:
        """Every invariant, every expectation and the judge are asked, whatever the others say."""
        try:
            self.findings += self.bench.check(self.case.draft_case(draft.body))
        except Exception as error:  # noqa: BLE001 - an invariant that raises has not held
            self.failures.append(failure.EvaluatorRaised(f"the invariants raised {type(error).__name__}"))
        self.findings += unmet(draft.body, self.case.expected)
        if self.findings:
            codes = ", ".join(dict.fromkeys(finding.code for finding in self.findings))
            self.failures.append(failure.BadDraft(f"found in the draft: {codes}"))
        if self.bench.judge is None:
            return
        reply = Reply(self.case, draft.subject, draft.body)
        try:
            self.judgement = adjudicate(self.bench.judge, reply, threshold=self.bench.threshold, clock=self.bench.clock)
        except failure.ReplayFailure as error:
            self.failures.append(error)
            return
        if not self.judgement.approved:
            self.failures.append(failure.BadDraft(f"not approved: {'; '.join(self.judgement.reasons)}"))


def _as_expected(decided: Action, expected: str) -> bool:
    """`skip` expects that no draft is written, whether a person is asked to act or nobody is."""
    return decided is not Action.DRAFT if expected == "skip" else decided.value == expected
