"""This replay against an earlier one: which cases got better, which got worse."""

from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from queue_pipeline import InvalidInput
from queue_pipeline.leads.replay.artifact import Artifact, BaselineDiff, CaseChange, CaseRecord, Config
from queue_pipeline.leads.replay.problems import sentences

#: A score that moved less may have moved by chance.
SCORE_CHANGE = 5


def read_baseline(content: Any, *, source: str) -> Artifact:
    """An earlier artifact. Raises InvalidInput when it is none, or when it measured nothing."""
    try:
        found = Artifact.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(sentences(error)[:3])
        raise InvalidInput("--baseline", source, f"It is no artifact of a replay: {problems}.") from None
    if found.verdict == "unmeasured":
        raise InvalidInput(
            "--baseline", source, "That replay could not be measured, or was a dry run; give one that passed or failed."
        )
    return found


def compare(baseline: Artifact, cases: Sequence[CaseRecord], *, config: Config, manifest_sha256: str) -> BaselineDiff:
    """What changed since the baseline, case by case."""
    before = {case.case_id: case for case in baseline.cases}
    now = {case.case_id: case for case in cases}
    same_judge = _judge_of(baseline.config) == _judge_of(config)
    changes = [_change(before[name], now[name]) for name in now if name in before]
    return BaselineDiff(
        run_id=baseline.run_id,
        same_manifest=baseline.manifest_sha256 == manifest_sha256,
        same_judge=same_judge,
        improved=[one for one in changes if _direction(one, scores=same_judge) > 0],
        regressed=[one for one in changes if _direction(one, scores=same_judge) < 0],
        added=[name for name in now if name not in before],
        removed=[name for name in before if name not in now],
    )


def _judge_of(config: Config) -> tuple[Any, ...]:
    return (config.judge, config.judge_model, config.judge_prompt_sha256, config.judge_threshold)


def _change(was: CaseRecord, now: CaseRecord) -> CaseChange:
    return CaseChange(case_id=now.case_id, was=was.verdict, now=now.verdict, score_was=was.score, score_now=now.score)


def _direction(change: CaseChange, *, scores: bool) -> int:
    """1 for better, -1 for worse. A flip outweighs the score; without a verdict now, nothing got worse or better."""
    if {change.was, change.now} == {"pass", "fail"}:
        return 1 if change.now == "pass" else -1
    if not scores or change.score_was is None or change.score_now is None:
        return 0
    moved = change.score_now - change.score_was
    return 0 if abs(moved) < SCORE_CHANGE else (1 if moved > 0 else -1)
