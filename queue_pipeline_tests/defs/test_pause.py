from typing import Any

import pytest

from queue_pipeline_tests.defs.conftest import Shell
from queue_pipeline_tests.defs.test_operator import launched, reason_of

BY: dict[str, Any] = {"who": "Mina", "why": "its import is broken"}


def test_a_kind_is_paused_and_resumed_from_the_ui(shell: Shell) -> None:
    launched(shell, "pause", "pause_one", scope="KIND", name="shell.work", hours=1.5, **BY)
    (row,) = shell.rows("SELECT scope, name, who, until > since + interval '1 hour' AS ends FROM pause")
    assert tuple(row) == ("kind", "shell.work", "Mina", True)
    launched(shell, "resume", "resume_paused", scope="KIND", name="shell.work", **BY)
    (row,) = shell.rows("SELECT ended_by FROM pause")
    assert row[0] == "Mina"


def test_what_is_not_paused_is_said_in_a_sentence(shell: Shell) -> None:
    result = launched(shell, "resume", "resume_paused", raise_on_error=False, scope="EVERYTHING", **BY)
    assert "It is not paused" in reason_of(result)


@pytest.mark.parametrize("config", [{"scope": "QUEUE", **BY}, {"scope": "KIND", "hours": 0, **BY}, {"scope": "KIND"}])
def test_configuration_that_is_wrong_pauses_nothing(shell: Shell, config: dict[str, Any]) -> None:
    with pytest.raises(Exception, match=r"scope|hours|who|why"):
        launched(shell, "pause", "pause_one", **config)
    assert shell.rows("SELECT 1 FROM pause") == []
