"""Whatever a handler does, its job ends in the right state, with its attempt on record, and the drain goes on."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pydantic
import pytest

from queue_pipeline import Cancel, JobContext, PermanentFailure, Retry, Snooze
from queue_pipeline.engine.handlers import Registry
from queue_pipeline_tests.engine.kitchen import Kitchen


def raising(error: BaseException) -> Any:
    def handler(ctx: JobContext, payload: Any) -> None:
        raise error

    return handler


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even this works")


class Panic(BaseException):
    """As a Rust extension raises one."""


@pytest.mark.parametrize("returned", [None, 0, False, "text", object()])
def test_whatever_a_handler_returns_its_job_has_succeeded(kitchen: Kitchen, returned: Any) -> None:
    kitchen.handle("ok", lambda ctx, payload: returned)
    (job_id,) = kitchen.put("ok")
    report = kitchen.drain()
    assert kitchen.state(job_id) == "SUCCEEDED"
    assert kitchen.outcomes(job_id) == ["SUCCEEDED"]
    assert report.counts["succeeded"] == 1
    assert report.end_reason == "empty"


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), GeneratorExit(), Panic("rust"),
        RecursionError("deep"), MemoryError(), Unprintable(), ExceptionGroup("both", [ValueError("one")]),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_whatever_a_handler_raises_is_a_failed_attempt_that_is_retried(kitchen: Kitchen, error: BaseException) -> None:
    kitchen.handle("bad", raising(error), max_attempts=2, deadline_seconds=60)
    (job_id,) = kitchen.put("bad")
    kitchen.start()
    kitchen.until(job_id, "DEAD", within=30)  # well before the deadline: the slot has not been lost
    assert kitchen.outcomes(job_id) == ["RETRY", "RETRY"]
    attempt = kitchen.attempt(job_id)
    assert attempt["error_class"] == type(error).__name__
    assert "raise error" in attempt["stack"]


@pytest.mark.parametrize("how", ["raised", "returned"])
@pytest.mark.parametrize(
    ("said", "outcome", "state"),
    [
        (Cancel("unwanted"), "CANCELLED", "CANCELLED"),
        (PermanentFailure("no such lead"), "FAILED", "DEAD"),
        (Retry("busy", after_seconds=3600), "RETRY", "SCHEDULED"),
        (Snooze(3600, reason="too early"), "SNOOZED", "SCHEDULED"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_an_outcome_may_be_raised_or_returned(
    kitchen: Kitchen, said: Exception, outcome: str, state: str, how: str
) -> None:
    kitchen.handle("said", raising(said) if how == "raised" else lambda ctx, payload: said)
    (job_id,) = kitchen.put("said")
    kitchen.drain()
    assert kitchen.state(job_id) == state
    assert kitchen.outcomes(job_id) == [outcome]
    assert kitchen.attempt(job_id)["error"] == str(said)


def test_a_retry_uses_up_an_attempt_and_keeps_the_job_s_first_due_time(kitchen: Kitchen) -> None:
    kitchen.handle("retry", raising(Retry("busy", after_seconds=1000)))
    (job_id,) = kitchen.put("retry")
    before = kitchen.job(job_id)
    kitchen.drain()
    after = kitchen.job(job_id)
    assert after["attempt"] == 1
    assert after["first_due_at"] == before["first_due_at"]
    assert after["run_at"] - before["run_at"] >= timedelta(seconds=1000)


def test_a_snooze_uses_no_attempt_and_is_due_when_it_said(kitchen: Kitchen) -> None:
    until = datetime(2100, 1, 1, tzinfo=UTC)
    kitchen.handle("snooze", raising(Snooze(until=until)), max_attempts=1)
    (job_id,) = kitchen.put("snooze")
    kitchen.drain()
    job = kitchen.job(job_id)
    assert (job["attempt"], job["run_at"], job["first_due_at"], job["state"]) == (0, until, until, "SCHEDULED")


def test_a_snooze_until_a_time_that_has_passed_is_due_at_once(kitchen: Kitchen) -> None:
    calls: list[int] = []

    def once_too_early(ctx: JobContext, payload: Any) -> None:
        calls.append(ctx.attempt)
        if len(calls) == 1:
            raise Snooze(until=datetime(2001, 1, 1, tzinfo=UTC))

    kitchen.handle("snooze", once_too_early)
    (job_id,) = kitchen.put("snooze")
    kitchen.start()
    kitchen.until(job_id, "SUCCEEDED")
    assert calls == [1, 1]
    assert kitchen.outcomes(job_id) == ["SNOOZED", "SUCCEEDED"]


def test_attempts_back_off_exponentially_until_the_job_is_a_dead_letter(kitchen: Kitchen) -> None:
    kitchen.handle("bad", raising(ValueError("no")), max_attempts=3, backoff_base_seconds=100)
    (job_id,) = kitchen.put("bad")
    waits = []
    for _ in range(2):
        kitchen.drain()
        row = kitchen.row("SELECT extract(epoch FROM run_at - clock_timestamp())::float8 AS s FROM job")
        waits.append(row["s"])
        kitchen.rows("UPDATE job SET run_at = now() - interval '1 second'")
    kitchen.drain()
    assert 95 < waits[0] <= 125
    assert 195 < waits[1] <= 250
    job = kitchen.job(job_id)
    assert (job["state"], job["attempt"], job["last_error"]) == ("DEAD", 3, "no")


def test_a_job_without_a_handler_is_retried_and_then_dead_with_what_to_do(kitchen: Kitchen) -> None:
    kitchen.handle("known", lambda ctx, payload: None)
    kitchen.handle("forgotten", lambda ctx, payload: None, max_attempts=1)
    (lost,) = kitchen.put("forgotten")
    (fine,) = kitchen.put("known")
    known = kitchen.registry
    kitchen.registry = Registry()
    kitchen.registry._specs["known"] = known.require("known")
    kitchen.drain()
    assert kitchen.state(lost) == "DEAD"
    assert "QUEUE_PIPELINE_HANDLERS" in kitchen.job(lost)["last_error"]
    assert kitchen.attempt(lost)["error_class"] == "UnknownKind"
    assert kitchen.state(fine) == "SUCCEEDED"


class Order(pydantic.BaseModel):
    number: int


class Strange(pydantic.BaseModel):
    number: int

    @pydantic.field_validator("number")
    @classmethod
    def looked_up(cls, number: int) -> int:
        return {1: 1}[number]  # a KeyError, which pydantic does not turn into a ValidationError


def test_a_handler_gets_its_payload_as_its_model(kitchen: Kitchen) -> None:
    got: list[Order] = []
    kitchen.handle("order", lambda ctx, order: got.append(order), payload=Order)
    kitchen.put("order", payload={"number": "7"})
    kitchen.drain()
    assert got == [Order(number=7)]


@pytest.mark.parametrize("model", [Order, Strange])
def test_a_payload_that_no_longer_fits_its_model_is_a_dead_letter_without_retries(
    kitchen: Kitchen, model: type[pydantic.BaseModel]
) -> None:
    kitchen.handle("order", lambda ctx, order: None, deadline_seconds=60)
    (job_id,) = kitchen.put("order", payload={"number": "seven" if model is Order else 7})
    kitchen.registry = Registry()
    kitchen.handle("order", lambda ctx, order: None, payload=model, deadline_seconds=60)
    kitchen.start()
    kitchen.until(job_id, "DEAD", within=30)
    assert kitchen.outcomes(job_id) == ["FAILED"]
    assert "seven" not in kitchen.job(job_id)["last_error"]


def test_an_error_text_that_postgresql_cannot_store_is_cleaned(kitchen: Kitchen) -> None:
    kitchen.handle("bad", raising(PermanentFailure("a\x00b\ud800c" + "x" * 10_000)))
    (job_id,) = kitchen.put("bad")
    kitchen.drain()
    error = kitchen.job(job_id)["last_error"]
    assert error.startswith("a\ufffdb?c")
    assert len(error) == 4000


def test_an_async_handler_runs_and_may_await(kitchen: Kitchen) -> None:
    async def handler(ctx: JobContext, payload: Any) -> None:
        await asyncio.sleep(0)
        ctx.step("once", lambda: 1)

    kitchen.handle("async", handler, is_async=True)
    ids = kitchen.put("async", 5)
    kitchen.drain()
    assert {kitchen.state(job_id) for job_id in ids} == {"SUCCEEDED"}


def test_the_task_of_an_async_handler_past_its_deadline_is_cancelled(kitchen: Kitchen) -> None:
    cancelled = threading.Event()

    async def handler(ctx: JobContext, payload: Any) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    kitchen.handle("async", handler, is_async=True, deadline_seconds=1, max_attempts=1)
    (job_id,) = kitchen.put("async")
    kitchen.start()
    kitchen.until(job_id, "DEAD")
    assert cancelled.wait(30)
    assert kitchen.outcomes(job_id) == ["TIMED_OUT"]


def test_a_handler_sees_its_job(kitchen: Kitchen) -> None:
    seen: list[Any] = []

    def handler(ctx: JobContext, payload: Any) -> None:
        seen.append((ctx.job_id, ctx.kind, ctx.workspace, ctx.attempt, ctx.max_attempts, payload))
        assert ctx.deadline.tzinfo is not None
        assert 0 < ctx.seconds_left() <= 30
        assert ctx.first_due_at <= ctx.deadline
        assert not ctx.cancelled()
        ctx.check()

    kitchen.handle("look", handler, max_attempts=4)
    (job_id,) = kitchen.put("look", workspace="globex", payload={"a": [1, None]})
    kitchen.drain()
    assert seen == [(job_id, "look", "globex", 1, 4, {"a": [1, None]})]


def test_a_drain_survives_every_misbehaviour_at_once(kitchen: Kitchen) -> None:
    kitchen.handle("ok", lambda ctx, payload: None)
    kitchen.handle("exit", raising(SystemExit(1)), max_attempts=1)
    kitchen.handle("panic", raising(Panic()), max_attempts=1)
    kitchen.handle("permanent", raising(PermanentFailure()))
    for _ in range(20):
        for kind in ("exit", "panic", "permanent", "ok"):
            kitchen.put(kind)
    report = kitchen.drain()
    assert kitchen.states() == {"SUCCEEDED": 20, "DEAD": 60}
    assert report.counts["succeeded"] == 20
    assert report.counts["failed"] == 60
    assert report.counts["claimed"] == 80
