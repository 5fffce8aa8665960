"""What is to be done about a message: pure rules over its class and what is known of the lead."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from queue_pipeline.leads.classification import Classification, MessageClass
from queue_pipeline.leads.later import later_in
from queue_pipeline.leads.own_words import own_words


class Action(StrEnum):
    """What happens to a message."""

    DRAFT = "draft"
    TASK = "task"
    SKIP = "skip"


@dataclass(frozen=True)
class Decision:
    """What is done, the code and the words for why. The words hold nothing that the lead wrote.

    `task` names what a person must do and `due_at` by when; `acknowledge` says that a first message is answered at once
    by a word that it has arrived; `template_may_leave` that even a draft from the template answers it well.
    """

    action: Action
    code: str
    why: str
    task: str | None = None
    due_at: datetime | None = None
    ask_for_phone: bool = False
    acknowledge: bool = False
    template_may_leave: bool = False


#: Classes in which nobody expects an answer.
_SKIPPED = {
    MessageClass.EMPTY,
    MessageClass.AUTOMATIC,
    MessageClass.OUT_OF_OFFICE,
    MessageClass.OPT_OUT,
}
#: Classes in which a person must do something, and what.
_TASKS = {
    MessageClass.WRONG_PERSON: "find_right_person",
    MessageClass.FOLLOW_UP: "follow_up",
    MessageClass.CALL_REQUESTED: "call",
}


def decide(
    found: Classification, *, lead_known: bool, open_slots: int, body: str, now: datetime, timezone: str
) -> Decision:
    """What to do about a message of this class, now.

    `lead_known` says that the message names an address; `open_slots` how many of the offered slots are still to come.
    """
    kind, code = found.message_class, found.message_class.value
    if kind is MessageClass.OPT_OUT and not lead_known:
        why = f"{found.why}, but the message names no address, so that nothing could be noted"
        return Decision(Action.TASK, code, why, task="find_right_person")
    if kind in _SKIPPED:
        return Decision(Action.SKIP, code, found.why)
    if kind in _TASKS:
        due = None if kind is MessageClass.WRONG_PERSON else _due(body, now, timezone)
        wants_us = kind is MessageClass.CALL_REQUESTED
        return Decision(Action.TASK, code, found.why, task=_TASKS[kind], due_at=due, acknowledge=wants_us)
    return Decision(
        Action.DRAFT,
        code,
        found.why,
        ask_for_phone=kind is MessageClass.CALL_REQUESTED_WITHOUT_PHONE,
        acknowledge=True,
        template_may_leave=kind is MessageClass.SCHEDULING and open_slots > 0 and not found.names_a_time,
    )


def _due(body: str, now: datetime, timezone: str) -> datetime | None:
    later = later_in(own_words(body), now, timezone)
    return None if later is None else later[1]
