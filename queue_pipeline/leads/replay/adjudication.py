"""From a judge's answers to a judgement: one vote where it is clear, the best of three where it is not."""

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from queue_pipeline.leads.replay.failure import EndpointAway, EvaluatorRaised, ReplayFailure
from queue_pipeline.leads.replay.judge import (
    Answer,
    Judge,
    Opinion,
    Reply,
    is_borderline,
    objections,
    unknown_issues,
)

VOTES = 3


@dataclass(frozen=True)
class Vote:
    """One answer, whether it counts as approval, and why not."""

    opinion: Opinion
    approves: bool
    objections: tuple[str, ...]
    usage: Mapping[str, Any] | None


@dataclass(frozen=True)
class Judgement:
    """What the votes come to. `agreement` is the share of votes that say what was decided."""

    approved: bool
    score: int
    votes: tuple[Vote, ...]
    borderline: bool
    agreement: float
    reasons: tuple[str, ...]


class Clock:
    """The time that is left of a replay, by the monotonic clock; at most `each` seconds for one call."""

    def __init__(self, seconds: float, *, each: float) -> None:
        self._ends = time.monotonic() + seconds
        self._each = each

    def left(self) -> float:
        """Seconds until the replay must have ended."""
        return self._ends - time.monotonic()

    def for_one_call(self) -> float:
        """Seconds that one call may take. Raises EndpointAway when none are left."""
        left = self.left()
        if left <= 0:
            raise EndpointAway("the time of the replay was over")
        return min(self._each, left)


def adjudicate(judge: Judge, reply: Reply, *, threshold: int, clock: Clock) -> Judgement:
    """The judgement of a reply. Raises EndpointAway, JudgeFailed or EvaluatorRaised; a vote that fails fails all."""
    votes = [_vote(judge, reply, threshold, clock)]
    borderline = is_borderline(votes[0].opinion, threshold)
    if borderline:
        votes += [_vote(judge, reply, threshold, clock) for _ in range(VOTES - 1)]
    in_favour = sum(vote.approves for vote in votes)
    strange = any(unknown_issues(vote.opinion) for vote in votes)
    approved = in_favour * 2 > len(votes) and not strange
    reasons = () if approved else tuple(dict.fromkeys(reason for vote in votes for reason in vote.objections))
    agreeing = in_favour if approved else len(votes) - in_favour
    return Judgement(
        approved=approved,
        score=int(statistics.median(vote.opinion.scores.weakest() for vote in votes)),
        votes=tuple(votes),
        borderline=borderline,
        agreement=round(agreeing / len(votes), 3),
        reasons=reasons,
    )


def asked(judge: Judge, reply: Reply, clock: Clock) -> Answer:
    """One answer. Raises EndpointAway, JudgeFailed, or EvaluatorRaised for whatever else the judge raised."""
    try:
        answer = judge.judge(reply, seconds=clock.for_one_call())
    except ReplayFailure:
        raise
    except Exception as error:
        raise EvaluatorRaised(f"the judge raised {type(error).__name__}") from error
    if not isinstance(answer, Answer):
        raise EvaluatorRaised(f"the judge answered with {type(answer).__name__}")
    return answer


def _vote(judge: Judge, reply: Reply, threshold: int, clock: Clock) -> Vote:
    answer = asked(judge, reply, clock)
    against = objections(answer.opinion, threshold)
    return Vote(answer.opinion, not against, tuple(against), answer.usage)
