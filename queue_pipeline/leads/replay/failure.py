"""Why a case did not pass: the class of what was raised says it, never its text."""

from collections.abc import Iterable
from enum import StrEnum
from typing import ClassVar

from queue_pipeline.leads.ports import DrafterFailed


class FailureType(StrEnum):
    """What kept a case from passing, in the order in which one of several is named."""

    SELECTION_ERROR = "selection_error"
    INFRA_ERROR = "infra_error"
    EXECUTION_ERROR = "execution_error"
    DRAFT_GENERATION_ERROR = "draft_generation_error"
    JUDGE_ERROR = "judge_error"
    DECISION_ERROR = "decision_error"
    DRAFT_QUALITY_ERROR = "draft_quality_error"


#: The case was measured and is bad; with any other failure nothing is known of it.
MEASURED = frozenset({FailureType.DECISION_ERROR, FailureType.DRAFT_QUALITY_ERROR})


class ReplayFailure(Exception):
    """A case did not pass. The text says why, and holds nothing that an endpoint wrote."""

    failure_type: ClassVar[FailureType] = FailureType.EXECUTION_ERROR


class NotSelected(ReplayFailure):
    """The manifest names a case that nobody has."""

    failure_type = FailureType.SELECTION_ERROR


class EndpointAway(ReplayFailure):
    """What the case needs is away, too slow, or refuses to be asked."""

    failure_type = FailureType.INFRA_ERROR


class EvaluatorRaised(ReplayFailure):
    """An invariant, a rule or the judge's own code raised: its answer is unknown."""

    failure_type = FailureType.EXECUTION_ERROR


class NoDraft(ReplayFailure):
    """The drafter was reached and gave no draft."""

    failure_type = FailureType.DRAFT_GENERATION_ERROR


class JudgeFailed(ReplayFailure):
    """The judge was reached and gave no judgement, or is not fit to judge."""

    failure_type = FailureType.JUDGE_ERROR


class DecisionDiffers(ReplayFailure):
    """The rules of production decide something else than the manifest expects."""

    failure_type = FailureType.DECISION_ERROR


class BadDraft(ReplayFailure):
    """The draft breaks an invariant or an expectation, or the judge does not approve it."""

    failure_type = FailureType.DRAFT_QUALITY_ERROR


#: Codes of DrafterFailed that say that the model was asked and answered badly.
_ANSWERED_BADLY = frozenset({"model_empty", "model_garbage", "model_declined"})


def of_drafter(error: Exception) -> ReplayFailure:
    """What it means that the drafter raised this."""
    if isinstance(error, DrafterFailed):
        return (NoDraft if error.code in _ANSWERED_BADLY else EndpointAway)(f"{error.code}: {error.why}")
    if isinstance(error, OSError):
        return EndpointAway(f"the drafter could not reach what it needs ({type(error).__name__})")
    return NoDraft(f"the drafter raised {type(error).__name__}")


def first(failures: Iterable[ReplayFailure]) -> ReplayFailure | None:
    """The failure that names the case: the one that explains the others."""
    order = list(FailureType)
    return min(failures, key=lambda one: order.index(one.failure_type), default=None)
