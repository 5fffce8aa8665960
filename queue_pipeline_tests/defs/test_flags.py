from typing import Any

import pytest

from queue_pipeline.engine import flags
from queue_pipeline_tests.defs.conftest import Shell
from queue_pipeline_tests.defs.test_operator import launched, reason_of
from queue_pipeline_tests.sends.ledger import a_ledger

WHO: dict[str, Any] = {"who": "Mina", "why": "the provider sends twice"}


def test_a_flag_is_flipped_from_the_ui(shell: Shell) -> None:
    result = launched(shell, "flip_flag", "flip_one", flag="sends.enabled", value="off", **WHO)
    assert result.success
    (state,) = [state for state in flags.states(shell.db) if state.flag == "sends.enabled"]
    assert (state.value, state.who, state.why) == ("off", "Mina", "the provider sends twice")


def test_a_flag_that_does_not_exist_is_a_sentence_that_names_the_known_ones(shell: Shell) -> None:
    result = launched(shell, "flip_flag", "flip_one", raise_on_error=False, flag="sends", value="off", **WHO)
    assert "Known flags: sends.enabled, drafts.auto_send" in reason_of(result)


@pytest.mark.parametrize(
    ("job", "op", "config"),
    [
        ("flip_flag", "flip_one", {"flag": "sends.enabled", "value": "off", "who": "", "why": "a test"}),
        ("flip_flag", "flip_one", {"flag": "sends.enabled", "value": "off", "who": "Mina"}),
        ("decide_send", "decide_one", {"outbound_message_id": 0, "verdict": "SENT", **WHO}),
        ("decide_send", "decide_one", {"outbound_message_id": 1, "verdict": "LOST", **WHO}),
    ],
)
def test_configuration_that_is_wrong_starts_nothing(shell: Shell, job: str, op: str, config: dict[str, Any]) -> None:
    result: Any = None
    with pytest.raises(Exception) as refused:  # noqa: PT011 - Dagster's or pydantic's, by where it is noticed
        result = launched(shell, job, op, **config)
    assert result is None
    assert any(word in str(refused.value) for word in ("who", "why", "verdict", "outbound_message_id"))


@pytest.mark.parametrize(("verdict", "state"), [("SENT", "SENT"), ("RETRY", "READY"), ("CANCELLED", "CANCELLED")])
def test_a_person_ends_a_doubt_from_the_ui(shell: Shell, verdict: str, state: str) -> None:
    with a_ledger(shell.db) as ledger:
        number = ledger.needing_a_person()
        launched(shell, "decide_send", "decide_one", outbound_message_id=number, verdict=verdict, **WHO)
        assert ledger.state(number) == state
        result = launched(
            shell, "decide_send", "decide_one", raise_on_error=False, outbound_message_id=404, verdict="SENT", **WHO
        )
    assert "There is no such message" in reason_of(result)
