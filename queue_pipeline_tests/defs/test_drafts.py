"""Reviewing a draft from the UI."""

from typing import Any

import pytest

from queue_pipeline import wiring
from queue_pipeline.domain.lane import shard_names
from queue_pipeline.engine.drain import DrainOptions, drain
from queue_pipeline.engine.inbound import Delivery, accept
from queue_pipeline.settings import Settings
from queue_pipeline_tests.defs.conftest import WORKSPACE, Shell
from queue_pipeline_tests.defs.test_operator import launched, reason_of


def _drain(shell: Shell, settings: Settings) -> None:
    registry = wiring.load_registry(settings)
    for shard in shard_names(4):
        drain(shell.db, registry, DrainOptions(shard=shard, until_empty=True, hand_over=False))


@pytest.fixture
def draft_id(shell: Shell, settings: Settings) -> int:
    """A draft that waits for review."""
    wiring.load_registry(settings)
    payload = {"provider": "test", "from_address": "ada@example.com", "body": "What does it cost?"}
    accept(shell.db, [Delivery(WORKSPACE, "test", payload)])
    _drain(shell, settings)
    ((found,),) = shell.rows("SELECT draft_id FROM draft WHERE state = 'FOR_REVIEW'")
    return int(found)


def test_an_approved_draft_is_sent_once_and_who_approved_it_is_kept(
    shell: Shell, settings: Settings, draft_id: int
) -> None:
    launched(shell, "approve_draft", "approve_one", draft_id=draft_id, who="Mina")
    _drain(shell, settings)
    assert shell.rows("SELECT state, decided_by FROM draft") == [("SENT", "Mina")]
    again = launched(shell, "approve_draft", "approve_one", raise_on_error=False, draft_id=draft_id, who="Noor")
    assert "SENT already by Mina" in reason_of(again)
    assert shell.rows("SELECT count(*) FROM outbound_message WHERE purpose = 'reply'") == [(1,)]


def test_a_rejected_draft_is_never_sent(shell: Shell, settings: Settings, draft_id: int) -> None:
    launched(shell, "reject_draft", "reject_one", draft_id=draft_id, who="Mina", why="answered by phone")
    _drain(shell, settings)
    assert shell.rows("SELECT state, decision FROM draft") == [("REJECTED", "answered by phone")]
    assert shell.rows("SELECT outcome, code FROM lead_outcome") == [("skipped", "draft_rejected")]
    assert shell.rows("SELECT count(*) FROM outbound_message WHERE purpose = 'reply'") == [(0,)]


def test_a_draft_that_does_not_exist_is_a_sentence(shell: Shell) -> None:
    result = launched(shell, "approve_draft", "approve_one", raise_on_error=False, draft_id=404, who="Mina")
    assert "There is no such draft" in reason_of(result)


@pytest.mark.parametrize("config", [{"draft_id": 0, "who": "Mina"}, {"draft_id": 1, "who": ""}, {"draft_id": 1}])
def test_a_decision_without_a_name_or_a_number_starts_nothing(shell: Shell, config: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"draft_id|who"):
        launched(shell, "approve_draft", "approve_one", **config)
