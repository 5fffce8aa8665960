"""The page about the replay gate: its manifest and its commands do what it says, and its tables tell the truth."""

from __future__ import annotations

import re

from queue_pipeline.leads.replay.failure import MEASURED, FailureType
from queue_pipeline.leads.replay.judge import BAND, PROFILES
from queue_pipeline_tests.docs.markdown import DOCS, blocks
from queue_pipeline_tests.docs.shell import Shell
from queue_pipeline_tests.docs.test_tutorial import follow

PAGE = DOCS / "replay.md"
TEXT = PAGE.read_text(encoding="utf-8")


def test_the_manifest_and_the_commands_of_the_page_work(operator: Shell) -> None:
    for block in blocks(PAGE):
        follow(operator, block)


def test_the_page_names_every_failure_type_in_the_order_in_which_one_is_named() -> None:
    rows = re.findall(r"^\| `(\w+)` \|.*\| (yes|no) \|$", TEXT, re.MULTILINE)
    assert [name for name, _ in rows] == list(FailureType)
    assert {name for name, measured in rows if measured == "yes"} == MEASURED


def test_the_page_names_the_thresholds() -> None:
    for name, threshold in PROFILES.items():
        assert re.search(rf"`{name}`\s{threshold}", TEXT)
    assert f"Within {BAND} points" in TEXT
