from __future__ import annotations

import sys
from collections.abc import Iterator

import psutil
import pytest

from queue_pipeline.http import inline_drain
from queue_pipeline.http.inline_drain import InlineDrains, drain_command
from queue_pipeline_tests.waiting import eventually

DEAF = [sys.executable, "-c", "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"]


@pytest.fixture
def drains() -> Iterator[InlineDrains]:
    started = InlineDrains(lambda shard: ["sleep", "60"])
    yield started
    started.close()


def test_the_command_is_a_bounded_drain_of_the_shard() -> None:
    assert drain_command("shard-02")[1:] == ["-m", "queue_pipeline", "drain", "--shard", "shard-02", "--seconds", "50"]


def test_shards_do_not_wait_for_each_other(drains: InlineDrains) -> None:
    one, other = drains.start("shard-00"), drains.start("shard-01")
    assert (one.started, other.started) == (True, True)
    assert one.pid != other.pid
    assert drains.running == 2


def test_a_drain_that_ended_is_reaped_and_its_shard_free_again() -> None:
    drains = InlineDrains(lambda shard: ["true"])
    first = drains.start("shard-00")
    eventually(lambda: drains.running == 0, within=30, what="the drain to be reaped")
    assert first.pid is not None
    assert not psutil.pid_exists(first.pid)
    assert drains.start("shard-00").started
    drains.close()


def test_a_drain_that_hangs_is_ended_and_does_not_hold_its_shard(
    drains: InlineDrains, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = drains.start("shard-00")
    assert hung.pid is not None
    psutil.Process(hung.pid).suspend()
    assert not drains.start("shard-00").started
    monkeypatch.setattr(inline_drain, "STARTS_WITHIN_SECONDS", 0.0)
    successor = drains.start("shard-00")
    assert successor.started
    assert f"Process {hung.pid}" in successor.why
    assert not psutil.pid_exists(hung.pid)
    assert drains.running == 1


def test_closing_ends_all_drains_even_deaf_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inline_drain, "_STOPS_WITHIN_SECONDS", 0.5)
    drains = InlineDrains(lambda shard: DEAF)
    pids = [drains.start(shard).pid for shard in ("shard-00", "shard-01")]
    drains.close()
    assert [pid is not None and psutil.pid_exists(pid) for pid in pids] == [False, False]
    assert not drains.start("shard-00").started
