"""Whether a draft may leave without a review, and if not, why. A pure rule."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from queue_pipeline.leads import phrases
from queue_pipeline.leads.decision import Decision
from queue_pipeline.leads.reply import codes_of


@dataclass(frozen=True)
class Hold:
    """A draft waits for review: the code, the reason in words, and the kind of notification that says so."""

    code: str
    why: str
    kind: str = "outcome"


def why_held(
    draft: Mapping[str, Any],
    findings: Sequence[Mapping[str, Any]],
    *,
    decision: Decision,
    opted_out: bool,
    has_address: bool,
    auto_send: bool,
    open_slots: int,
) -> Hold | None:
    """Why a draft waits for review; None when it may leave. What people must know most comes first.

    `open_slots` is how many of the offered slots are still to come. Without any, nobody but a person knows whether a
    time that the draft names is free, even where the lead proposed it and the gates therefore let it pass.
    """
    if draft["failure"]:
        why = f"{draft['why_no_model']}; a template draft waits for review instead of the model's"
        return Hold(draft["failure"], why, "failure")
    if findings:
        codes = codes_of(findings)
        why = f"the gates found {', '.join(codes)} in the draft, so it waits for review"
        return Hold(f"gate_{codes[0]}", why, "action")
    by = "from the template " if draft["is_template"] else ""
    waits = f"a reply was drafted {by}and waits for review"
    if not has_address:
        return Hold("no_address", f"{waits}; the message names no address to answer")
    if opted_out:
        return Hold("opted_out_wrote_again", f"{waits}; the lead had opted out, so nothing was sent")
    if not auto_send or (draft["is_template"] and not decision.template_may_leave):
        return Hold(decision.code, f"{waits} ({decision.why})")
    names_a_time = phrases.WHEN.search(draft["body"].lower()) is not None
    why = f"{waits}; it names a day or a time although none was offered"
    return Hold("time_without_offer", why) if names_a_time and not open_slots else None
