"""Replays on a stage: the labelled cases, judges that misbehave, and a model server that plays drafter and judge."""

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from queue_pipeline.leads.gates.case import DraftCase
from queue_pipeline.leads.gates.check import Finding
from queue_pipeline.leads.replay.artifact import Artifact
from queue_pipeline.leads.replay.judge import Answer, JudgeIdentity, Opinion, Reply
from queue_pipeline.leads.replay.manifest import Case, Manifest
from queue_pipeline.leads.replay.rubric_judge import RubricJudge
from queue_pipeline.leads.replay.selection import Selection, selection_of
from queue_pipeline.leads.replay.session import Benchmark, Options, replay
from queue_pipeline.leads.template_drafter import NAME, TemplateDrafter
from queue_pipeline_tests.leads.model_server import Answer as ServerAnswer

LABELLED = Path(__file__).with_name("labelled_manifest.json")
AT = datetime(2031, 3, 3, 9, 0, tzinfo=UTC)
GOOD_DRAFT = "Hello,\n\nthank you for your message. A colleague will read it and come back to you.\n\nKind regards"


def labelled() -> Manifest:
    """The sixty cases, each of which says what the gate should find in its reference draft."""
    return Manifest.model_validate_json(LABELLED.read_text(encoding="utf-8"))


def only(*names: str, manifest: Manifest | None = None, **changes: Any) -> Selection:
    """A selection of some of the labelled cases."""
    whole = manifest or labelled()
    cases = [case for case in whole.cases if case.case_id in names]
    assert len(cases) == len(names)
    tiers: dict[str, list[str]] = {"critical_core": [], "critical_top10": [], "regression": []}
    made = Manifest.model_validate(
        {**whole.model_dump(), "cases": [c.model_dump() for c in cases], "tiers": tiers, **changes}
    )
    return selection_of(made, source="test")


def bench(**parts: Any) -> Benchmark:
    """The embedded drafter and judge, apart from what is replaced."""
    return Benchmark(**{"drafter": TemplateDrafter(), "drafter_name": NAME, "judge": RubricJudge(), **parts})


def play(selection: Selection, place: Path, *, on: Benchmark | None = None, **options: Any) -> Artifact:
    """Replay a selection; the journal goes to `place`."""
    more = {name: options.pop(name) for name in ("baseline", "resume", "progress") if name in options}
    return replay(
        selection,
        on or bench(),
        Options(**{"concurrency": 4, "timeout_seconds": 60.0, "call_seconds": 5.0, **options}),
        created_at=AT,
        journal=place / "run.json.cases.jsonl",
        **more,
    )


def opinion(decision: str = "approve", score: int = 95, issues: Sequence[str] = (), **scores: int) -> Opinion:
    """A judge's answer."""
    four = {"logistics": score, "factual": score, "safety": score, "quality": score, **scores}
    return Opinion.model_validate(
        {"decision": decision, "scores": four, "issues": list(issues), "confidence": 0.9, "rationale": "because"}
    )


class ScriptedJudge:
    """Judges canaries as the rubric does, and everything else as it is told."""

    def __init__(self, say: Callable[[Reply], Opinion | Exception | Any], *, canaries_too: bool = False) -> None:
        self._say = say
        self._canaries_too = canaries_too
        self.asked: list[Reply] = []

    @property
    def identity(self) -> JudgeIdentity:
        """A judge of this test."""
        return JudgeIdentity("scripted", False, "test.key", "1", "0" * 64, "a judge of a test")

    def judge(self, reply: Reply, *, seconds: float) -> Any:
        """What the script says."""
        if reply.case.tenant == "canary" and not self._canaries_too:
            return RubricJudge().judge(reply, seconds=seconds)
        self.asked.append(reply)
        said = self._say(reply)
        if isinstance(said, Exception):
            raise said
        return Answer(said) if isinstance(said, Opinion) else said


def broken_check(case: DraftCase) -> Sequence[Finding]:
    """An invariant with a bug."""
    raise ZeroDivisionError("a bug in an invariant")


def is_for_judge(request: dict[str, Any]) -> bool:
    """Whether a request to the model server comes from the judge."""
    return "You judge whether a reply may be sent" in json.dumps(request["messages"])


def plays(*, draft: ServerAnswer | None = None, judge: ServerAnswer | None = None, spare: int = 10_000) -> ServerAnswer:
    """A model that drafts and judges well; after `spare` requests it does what `draft` and `judge` say instead."""

    def answer(handler: Any) -> None:
        asked = handler.server.model.asked
        for_judge = is_for_judge(asked[-1])
        own = judge if for_judge else draft
        if own is not None and len(asked) > spare:
            own(handler)
            return
        content = _judged(asked[-1]) if for_judge else json.dumps({"subject": "", "body": GOOD_DRAFT})
        _complete(handler, content)

    return answer


def _judged(request: dict[str, Any]) -> str:
    (user,) = (message["content"] for message in request["messages"] if message["role"] == "user")
    data = json.loads(user)
    case = Case.model_validate(
        {
            "case_id": "asked",
            "channel": data["channel"],
            "reference_now": data["now"],
            "timezone": data["timezone_of_lead"],
            "host_timezone": data["timezone_of_lead"],
            "inbound": {"subject": data["lead"]["subject"], "body": data["lead"]["message"], "sent_at": data["now"]},
            "offered_slots": [{"start": s["start"], "label": s["words"]} for s in data["offered_slots"]],
            "allowed_links": data["allowed_links"],
            "facts": data["facts"],
        }
    )
    reply = Reply(case, data["reply"]["subject"], data["reply"]["text"])
    return RubricJudge().judge(reply, seconds=1).opinion.model_dump_json()


def _complete(handler: Any, content: str) -> None:
    completion = {
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_900_000_000, "model": "small",
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": content}}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }  # fmt: skip
    handler.give(200, json.dumps(completion).encode())
