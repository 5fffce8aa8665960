"""Whether the judge can tell good from bad: replies with a known verdict, judged first in every replay."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib import resources

from queue_pipeline.leads.replay.adjudication import Clock, asked
from queue_pipeline.leads.replay.failure import FailureType, ReplayFailure
from queue_pipeline.leads.replay.judge import Judge, Opinion, Reply, objections
from queue_pipeline.leads.replay.manifest import Case, Manifest
from queue_pipeline.leads.template_drafter import subject_of_reply


@dataclass(frozen=True)
class CanaryAnswer:
    """What the judge said of a reply whose verdict is known; without an opinion it failed to say anything."""

    name: str
    expected: str
    opinion: Opinion | None
    answered: str | None
    failure: ReplayFailure | None = None

    @property
    def right(self) -> bool:
        """Whether the judge said what is known."""
        return self.answered == self.expected


@dataclass(frozen=True)
class SelfTest:
    """The answers to all canaries."""

    answers: tuple[CanaryAnswer, ...]

    @property
    def passed(self) -> bool:
        """Whether the judge answered every canary, and rightly."""
        return bool(self.answers) and all(answer.right for answer in self.answers)

    @property
    def failure_type(self) -> FailureType | None:
        """What kept it from passing: the judge could not be asked, or its answers are wrong."""
        if self.passed:
            return None
        raised = [answer.failure.failure_type for answer in self.answers if answer.failure is not None]
        return raised[0] if raised else FailureType.JUDGE_ERROR

    @property
    def said(self) -> str:
        """The outcome in one sentence."""
        if self.passed:
            return f"the judge told good from bad in all {len(self.answers)} canaries"
        failed = [answer.failure for answer in self.answers if answer.failure is not None]
        if failed:
            return f"the judge could not answer {len(failed)} of {len(self.answers)} canaries: {failed[0]}"
        wrong = [answer for answer in self.answers if not answer.right]
        named = ", ".join(f"{answer.name} ({answer.answered} instead of {answer.expected})" for answer in wrong)
        return f"the judge is wrong about {len(wrong)} of {len(self.answers)} canaries: {named}"


@cache
def canaries() -> Manifest:
    """The replies with a known verdict, as a manifest with reference drafts and labels."""
    data = resources.files("queue_pipeline.leads.replay").joinpath("canaries.json").read_text(encoding="utf-8")
    return Manifest.model_validate_json(data)


def self_test(judge: Judge, *, threshold: int, clock: Clock, concurrency: int) -> SelfTest:
    """Ask the judge about every canary, once each."""
    with ThreadPoolExecutor(concurrency, thread_name_prefix="canary") as pool:
        answers = pool.map(lambda case: _answered(judge, case, threshold, clock), canaries().cases)
        return SelfTest(tuple(answers))


def _answered(judge: Judge, case: Case, threshold: int, clock: Clock) -> CanaryAnswer:
    expected = case.expected.verdict or "fail"
    reply = Reply(case, subject_of_reply(case.message()), case.reference_draft or "")
    try:
        opinion = asked(judge, reply, clock).opinion
    except ReplayFailure as error:
        return CanaryAnswer(case.case_id, expected, None, None, error)
    return CanaryAnswer(case.case_id, expected, opinion, "fail" if objections(opinion, threshold) else "pass")
