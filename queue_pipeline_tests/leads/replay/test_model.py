"""Drafting and judging over real HTTP. Whatever the endpoint does, what was not measured is no pass."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from queue_pipeline import wiring
from queue_pipeline.domain.errors import Misconfigured
from queue_pipeline.leads import language_model
from queue_pipeline.leads.replay import judge_prompt
from queue_pipeline.leads.replay.artifact import Artifact
from queue_pipeline.leads.replay.self_test import canaries
from queue_pipeline.settings import Settings
from queue_pipeline_tests.leads.model_server import (
    Answer,
    ModelServer,
    drops,
    fails,
    hangs,
    says,
    talks_nonsense,
    trickles,
)
from queue_pipeline_tests.leads.replay.stage import is_for_judge, only, play, plays

CASES = ("clean-price-deferred", "clean-linkedin", "clean-injection-is-ignored")
CANARIES = len(canaries().cases)
Play = Callable[..., tuple[Artifact, ModelServer]]


@pytest.fixture
def ask(tmp_path: Path) -> Iterator[Play]:
    """Replay three clean cases with a model server that drafts and judges."""
    servers: list[ModelServer] = []

    def replayed(answer: Answer, *, closed: bool = False, seconds: float = 5.0) -> tuple[Artifact, ModelServer]:
        server = ModelServer(answer)
        servers.append(server)
        if closed:
            server.close()
        settings = Settings(
            home=tmp_path / "home",
            model="small",
            judge_model="large",
            openai_base_url=server.url,
            openai_api_key=SecretStr("key-of-nobody"),
        )
        bench = wiring.replay_benchmark(settings)
        return play(only(*CASES, strategy="generate"), tmp_path, on=bench, call_seconds=seconds), server

    yield replayed
    for server in servers:
        server.close()


def test_a_model_that_drafts_and_judges_well_passes_and_all_of_it_is_on_record(ask: Play) -> None:
    artifact, server = ask(plays())
    assert (artifact.verdict, artifact.exit_code, artifact.summary.passed) == ("pass", 0, 3)
    config = artifact.config
    assert (config.judge_model, config.judge_is_model, config.judge_prompt_key) == ("large", True, judge_prompt.KEY)
    assert config.judge_prompt_key == "queue_pipeline.reply.gate.v1"
    assert config.judge_system_prompt == judge_prompt.SYSTEM
    assert config.judge_prompt_sha256 == judge_prompt.SHA256
    assert config.judge_endpoint_host == "127.0.0.1"
    assert artifact.self_test is not None
    assert (artifact.self_test.passed, len(artifact.self_test.canaries)) == (True, CANARIES)
    assert [case.drafter for case in artifact.cases] == ["language model small"] * 3
    assert all(case.judge and case.judge.votes[0].usage for case in artifact.cases)
    assert {request["model"] for request in server.asked if is_for_judge(request)} == {"large"}
    assert len(server.asked) == CANARIES + 3 * 2
    assert "key-of-nobody" not in json.dumps(artifact.as_json())


def test_texts_of_the_lead_and_the_draft_reach_the_judge_as_data_only(ask: Play) -> None:
    _, server = ask(plays())
    for request in (request for request in server.asked if is_for_judge(request)):
        system = [m["content"] for m in request["messages"] if m["role"] in ("system", "developer")]
        assert all("Ignore all previous" not in text for text in system)
        (user,) = [m["content"] for m in request["messages"] if m["role"] == "user"]
        assert {"lead", "reply", "facts"} <= set(json.loads(user))


FAULTS: dict[str, tuple[Answer, set[str], set[str]]] = {
    # what the endpoint does: the failure if it does so when drafting, and when judging
    "slow": (hangs, {"infra_error"}, {"infra_error"}),
    "trickles": (trickles, {"infra_error"}, {"infra_error"}),
    "drops": (drops, {"infra_error"}, {"infra_error"}),
    "401": (fails(401), {"infra_error"}, {"infra_error"}),
    "429": (fails(429), {"infra_error"}, {"infra_error"}),
    "500": (fails(500), {"infra_error"}, {"infra_error"}),
    "HTML": (talks_nonsense, {"draft_generation_error"}, {"judge_error"}),
    "prose": (says("Looks good to me!"), {"draft_generation_error"}, {"judge_error"}),
    "half an answer": (says('{"decision": "approve", "subject": "x"}'), {"draft_generation_error"}, {"judge_error"}),
    "declines": (says(None, refusal="no"), {"draft_generation_error"}, {"judge_error"}),
    "out of range": (
        says('{"decision":"approve","scores":{"logistics":900,"factual":1,"safety":1,"quality":1},"issues":[],'
             '"confidence":1,"rationale":""}'),
        {"draft_generation_error"},
        {"judge_error"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_an_endpoint_that_fails_while_drafting_measures_nothing(ask: Play, fault: str) -> None:
    answer, kinds, _ = FAULTS[fault]
    artifact, _ = ask(plays(draft=answer, spare=0), seconds=1.0 if fault in ("slow", "trickles") else 5.0)
    nothing_passed(artifact)
    assert {case.failure_type for case in artifact.cases} == kinds
    assert artifact.self_test is not None
    assert artifact.self_test.passed


@pytest.mark.parametrize("fault", FAULTS)
def test_an_endpoint_that_fails_while_judging_measures_nothing(ask: Play, fault: str) -> None:
    """The self-test goes well, and then the endpoint fails."""
    answer, _, kinds = FAULTS[fault]
    artifact, _ = ask(plays(judge=answer, spare=CANARIES), seconds=1.0 if fault in ("slow", "trickles") else 5.0)
    nothing_passed(artifact)
    assert {case.failure_type for case in artifact.cases} == kinds


@pytest.mark.parametrize("fault", ["slow", "drops", "500", "prose"])
def test_a_judge_that_cannot_answer_the_canaries_measures_nothing_and_nothing_is_drafted(ask: Play, fault: str) -> None:
    answer, _, kinds = FAULTS[fault]
    started = time.monotonic()
    artifact, server = ask(plays(judge=answer, spare=0), seconds=0.5 if fault == "slow" else 5.0)
    assert time.monotonic() - started < 30
    nothing_passed(artifact)
    assert {case.failure_type for case in artifact.cases} == kinds
    assert all(is_for_judge(request) for request in server.asked)


def test_an_endpoint_that_dies_midway_takes_back_what_had_passed(ask: Play) -> None:
    artifact, _ = ask(plays(draft=drops, judge=drops, spare=CANARIES + 3))
    nothing_passed(artifact)
    assert {case.verdict for case in artifact.cases} <= {"not_counted", "unmeasured"}


def test_an_endpoint_that_is_not_there_measures_nothing(ask: Play) -> None:
    artifact, _ = ask(plays(), closed=True)
    nothing_passed(artifact)
    assert {case.failure_type for case in artifact.cases} == {"infra_error"}


def test_a_judge_that_always_approves_is_caught_by_the_self_test(ask: Play) -> None:
    yes = '{"decision":"approve","scores":{"logistics":99,"factual":99,"safety":99,"quality":99},"issues":[],"confidence":1,"rationale":"ok"}'
    artifact, _ = ask(plays(judge=says(yes), spare=0))
    nothing_passed(artifact)
    assert {case.failure_type for case in artifact.cases} == {"judge_error"}
    assert artifact.self_test is not None
    wrong = {canary.name for canary in artifact.self_test.canaries if not canary.right}
    assert wrong == {case.case_id for case in canaries().cases if case.expected.verdict == "fail"}


def test_missing_packages_or_a_missing_endpoint_are_named_before_anything_starts(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for field in ("model", "judge_model"):
        with pytest.raises(Misconfigured, match="OPENAI_BASE_URL"):
            wiring.replay_benchmark(settings.model_copy(update={field: "small"}))
    monkeypatch.setattr(language_model, "is_installed", lambda: False)
    with pytest.raises(Misconfigured, match="pip install"):
        wiring.replay_benchmark(settings.model_copy(update={"model": "small", "openai_base_url": "http://127.0.0.1:1"}))


def nothing_passed(artifact: Artifact) -> None:
    assert (artifact.verdict, artifact.exit_code) == ("unmeasured", 2)
    assert artifact.summary.passed == 0
    assert not [case for case in artifact.cases if case.verdict == "pass"]
    assert artifact.reasons
