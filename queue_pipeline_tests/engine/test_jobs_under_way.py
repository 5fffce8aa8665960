"""Deadlines, cancellation, memoised steps, progress, and where a job hangs while it hangs."""

import threading
from typing import Any

import pytest

from queue_pipeline import Cancel, ClaimLost, InvalidInput, JobContext
from queue_pipeline.domain.errors import NotFound
from queue_pipeline.engine.jobs import cancel_job, dead_letters, replay_dead
from queue_pipeline_tests.engine.kitchen import Bystander, Kitchen
from queue_pipeline_tests.waiting import eventually


def a_place_with_a_telling_name(gate: threading.Event) -> None:
    gate.wait(30)


# ------------------------------------------------------------------------------------------------ deadlines


def test_a_handler_past_its_deadline_is_abandoned_its_slot_replaced_and_its_late_result_refused(
    kitchen: Kitchen,
) -> None:
    calls: list[int] = []

    def hang_once(ctx: JobContext, payload: Any) -> None:
        calls.append(ctx.attempt)
        if ctx.attempt == 1:
            a_place_with_a_telling_name(kitchen.opened)

    kitchen.handle("hang", hang_once, deadline_seconds=1)
    kitchen.handle("quick", lambda ctx, payload: None)
    (hung,) = kitchen.put("hang")
    started = kitchen.start(concurrency=1)
    eventually(lambda: kitchen.outcomes(hung) == ["TIMED_OUT"], within=30, what="the deadline")
    kitchen.put("quick", 3)  # the only slot hangs, and yet
    eventually(lambda: kitchen.states().get("SUCCEEDED") == 3, within=30, what="the replaced slot to work")
    attempt = kitchen.attempt(hung)
    assert attempt["error_class"] == "DeadlineExceeded"
    assert "a_place_with_a_telling_name" in attempt["stack"]

    kitchen.opened.set()  # the abandoned handler returns at last
    eventually(lambda: kitchen.rows("SELECT 1 FROM late_write"), within=30, what="the late result to be refused")
    kitchen.rows("UPDATE job SET run_at = now() WHERE state = 'SCHEDULED'")
    kitchen.until(hung, "SUCCEEDED")
    report = started.finish()
    assert kitchen.outcomes(hung) == ["TIMED_OUT", "SUCCEEDED"]
    assert (report.counts["late_writes_refused"], report.counts["abandoned_threads"]) == (1, 1)
    run = kitchen.row("SELECT late_writes_refused, abandoned_threads, timed_out FROM function_run")
    assert tuple(run.values()) == (1, 1, 1)
    assert kitchen.row("SELECT wanted FROM late_write")["wanted"] == "SUCCEEDED"


def test_a_handler_that_asks_learns_that_its_claim_is_gone(kitchen: Kitchen) -> None:
    told: list[type] = []

    def handler(ctx: JobContext, payload: Any) -> None:
        eventually(ctx.cancelled, within=20, what="the deadline to be felt")
        for act in (ctx.check, lambda: ctx.step("late", lambda: 1)):
            try:
                act()
            except ClaimLost as error:
                told.append(type(error))

    kitchen.handle("late", handler, deadline_seconds=1, max_attempts=1)
    (job_id,) = kitchen.put("late")
    kitchen.start()
    kitchen.until(job_id, "DEAD")
    eventually(lambda: told == [ClaimLost, ClaimLost], within=30, what="the handler to be told")
    assert kitchen.rows("SELECT 1 FROM job_step") == []


# ------------------------------------------------------------------------------------------------ where it hangs


def test_a_hanging_handler_shows_where_it_is_and_its_attempt_keeps_it(kitchen: Kitchen) -> None:
    def handler(ctx: JobContext, payload: Any) -> None:
        ctx.progress("fetched 3 of 7\x00")
        ctx.step("draft", lambda: a_place_with_a_telling_name(kitchen.opened))

    kitchen.handle("hang", handler, expected_seconds=0.2, deadline_seconds=3, max_attempts=1)
    (job_id,) = kitchen.put("hang")
    kitchen.start()
    eventually(lambda: kitchen.rows("SELECT 1 FROM handler_sample"), within=30, what="a sample")
    sample = kitchen.row("SELECT * FROM handler_sample")
    assert (sample["job_id"], sample["step"], sample["progress"]) == (job_id, "draft", "fetched 3 of 7\ufffd")
    assert "a_place_with_a_telling_name" in sample["stack"]
    assert sample["running_seconds"] >= 0.2
    assert sample["progress_at"] <= sample["sampled_at"]
    kitchen.until(job_id, "DEAD")
    attempt = kitchen.attempt(job_id)
    assert (attempt["step"], attempt["progress"]) == ("draft", "fetched 3 of 7\ufffd")
    assert "a_place_with_a_telling_name" in attempt["stack"]
    assert kitchen.rows("SELECT 1 FROM handler_sample") == []


def test_a_quick_handler_is_not_sampled(kitchen: Kitchen) -> None:
    kitchen.handle("quick", lambda ctx, payload: ctx.progress("half"))
    (job_id,) = kitchen.put("quick")
    kitchen.drain()
    assert kitchen.rows("SELECT 1 FROM handler_sample") == []
    assert kitchen.attempt(job_id)["stack"] is None


# ------------------------------------------------------------------------------------------------ steps


def test_a_step_is_not_run_again_by_a_later_attempt(kitchen: Kitchen) -> None:
    calls: list[str] = []

    def handler(ctx: JobContext, payload: Any) -> None:
        def write() -> dict[str, Any]:
            calls.append("draft")
            return {"text": "Hello", "n": [1, None]}

        draft = ctx.step("draft", write)
        assert draft == {"text": "Hello", "n": [1, None]}
        assert ctx.step("draft", lambda: pytest.fail("twice in one attempt")) == draft
        if ctx.attempt == 1:
            raise ValueError("after the draft")
        ctx.step("send", lambda: calls.append("send"))

    kitchen.handle("lead", handler)
    (job_id,) = kitchen.put("lead")
    kitchen.start()
    kitchen.until(job_id, "SUCCEEDED")
    assert calls == ["draft", "send"]
    assert kitchen.outcomes(job_id) == ["RETRY", "SUCCEEDED"]


def test_a_step_survives_the_death_of_the_function_run_that_did_it(kitchen: Kitchen) -> None:
    calls: list[int] = []
    kitchen.handle("lead", lambda ctx, payload: ctx.step("draft", lambda: calls.append(ctx.attempt)))
    (job_id,) = kitchen.put("lead")
    dead = Bystander(kitchen.db)
    (claim,) = dead.claim()
    kitchen.rows(
        "INSERT INTO job_step (job_id, name, fence, result) VALUES (:j, 'draft', :f, '7')", j=job_id, f=claim.fence
    )
    dead.die()
    kitchen.start()
    kitchen.until(job_id, "SUCCEEDED")
    assert calls == []
    assert kitchen.outcomes(job_id) == ["LOST", "SUCCEEDED"]


@pytest.mark.parametrize(
    "result", [object(), float("nan"), "a\x00b", {1, 2}, "\ud800"], ids=["object", "nan", "nul", "set", "surrogate"]
)
def test_a_step_whose_result_cannot_be_stored_fails_in_words(kitchen: Kitchen, result: Any) -> None:
    kitchen.handle("lead", lambda ctx, payload: ctx.step("draft", lambda: result), max_attempts=1)
    (job_id,) = kitchen.put("lead")
    kitchen.drain()
    attempt = kitchen.attempt(job_id)
    assert attempt["error_class"] == InvalidInput.__name__
    assert "'draft'" in attempt["error"]
    assert attempt["step"] == "draft"


# ------------------------------------------------------------------------------------------------ cancel


def test_a_waiting_job_is_cancelled_at_once_and_never_runs(kitchen: Kitchen) -> None:
    kitchen.handle("never", lambda ctx, payload: pytest.fail("it ran"))
    (job_id,) = kitchen.put("never", dedupe_key="k")
    assert "CANCELLED" in cancel_job(kitchen.db, job_id, "a customer asked")
    kitchen.drain()
    job = kitchen.job(job_id)
    assert (job["state"], job["last_error"], job["dedupe_held"]) == ("CANCELLED", "a customer asked", False)


def test_a_running_job_that_listens_is_cancelled_by_itself(kitchen: Kitchen) -> None:
    def handler(ctx: JobContext, payload: Any) -> None:
        eventually(ctx.cancelled, within=20, what="the cancellation")
        ctx.check()

    kitchen.handle("listens", handler)
    (job_id,) = kitchen.put("listens")
    kitchen.start()
    kitchen.until(job_id, "RUNNING")
    assert "asked to stop" in cancel_job(kitchen.db, job_id, "a customer asked")
    kitchen.until(job_id, "CANCELLED")
    assert kitchen.attempt(job_id)["error_class"] == Cancel.__name__


def test_a_running_job_that_is_deaf_is_abandoned_after_the_grace(kitchen: Kitchen) -> None:
    kitchen.handle("deaf", lambda ctx, payload: a_place_with_a_telling_name(kitchen.opened))
    (job_id,) = kitchen.put("deaf")
    kitchen.start()
    kitchen.until(job_id, "RUNNING")
    cancel_job(kitchen.db, job_id, "a customer asked")
    kitchen.until(job_id, "CANCELLED")
    attempt = kitchen.attempt(job_id)
    assert "did not stop by itself" in attempt["error"]
    assert "a_place_with_a_telling_name" in attempt["stack"]


def test_a_cancelled_job_that_fails_is_not_run_again(kitchen: Kitchen) -> None:
    def handler(ctx: JobContext, payload: Any) -> None:
        cancel_job(kitchen.db, ctx.job_id, "in between")
        raise ValueError("no")

    kitchen.handle("fails", handler)
    (job_id,) = kitchen.put("fails")
    report = kitchen.drain()
    assert (kitchen.state(job_id), kitchen.outcomes(job_id)) == ("CANCELLED", ["RETRY"])
    assert report.counts["cancelled"] == 1


@pytest.mark.parametrize("state", ["SUCCEEDED", None])
def test_what_cannot_be_cancelled_is_said(kitchen: Kitchen, state: str | None) -> None:
    kitchen.handle("quick", lambda ctx, payload: None)
    (job_id,) = kitchen.put("quick")
    kitchen.drain()
    with pytest.raises(NotFound, match="SUCCEEDED already" if state else "no such job"):
        cancel_job(kitchen.db, job_id if state else 987_654, "why not")


# ------------------------------------------------------------------------------------------------ dead letters


@pytest.fixture
def dead(kitchen: Kitchen) -> list[int]:
    """Three dead letters of a handler that works by now."""
    broken = [True]

    def handler(ctx: JobContext, payload: Any) -> None:
        if broken:
            raise ValueError("broken")

    kitchen.handle("letter", handler, max_attempts=1)
    ids = [kitchen.put("letter", workspace=w, dedupe_key="k")[0] for w in ("acme", "globex", "initech")]
    kitchen.drain()
    assert kitchen.states() == {"DEAD": 3}
    broken.clear()
    return ids


def test_a_dead_letter_says_why_and_is_replayed_with_all_its_attempts(kitchen: Kitchen, dead: list[int]) -> None:
    letters = dead_letters(kitchen.db, workspace="acme")
    assert [(letter.job_id, letter.last_error, letter.attempt) for letter in letters] == [(dead[0], "broken", 1)]
    assert {letter.job_id for letter in dead_letters(kitchen.db)} == set(dead)
    assert replay_dead(kitchen.db, workspace="acme", why="fixed") == 1
    job = kitchen.job(dead[0])
    assert (job["state"], job["attempt"], job["finished_at"]) == ("PENDING", 0, None)
    kitchen.drain()
    assert kitchen.outcomes(dead[0]) == ["RETRY", "SUCCEEDED"]
    assert kitchen.states() == {"DEAD": 2, "SUCCEEDED": 1}


def test_a_replay_is_bounded_oldest_first(kitchen: Kitchen, dead: list[int]) -> None:
    for age, job_id in enumerate(dead):
        kitchen.rows(
            "UPDATE job SET finished_at = now() - make_interval(hours => :h) WHERE job_id = :j", h=age, j=job_id
        )
    assert replay_dead(kitchen.db, kind="letter", limit=2, why="fixed") == 2
    assert kitchen.state(dead[0]) == "DEAD"


def test_a_replay_wakes_a_lingering_drain(kitchen: Kitchen, dead: list[int]) -> None:
    kitchen.start()
    replay_dead(kitchen.db, job_ids=dead, why="fixed")
    for job_id in dead:
        kitchen.until(job_id, "SUCCEEDED")


def test_a_dead_letter_whose_key_another_job_has_taken_stays_dead(kitchen: Kitchen, dead: list[int]) -> None:
    kitchen.put("letter", workspace="acme", dedupe_key="k")
    assert replay_dead(kitchen.db, job_ids=dead, why="fixed") == 2
    assert kitchen.state(dead[0]) == "DEAD"


def test_a_replay_must_say_which_dead_letters(kitchen: Kitchen) -> None:
    with pytest.raises(InvalidInput, match="job_ids, kind or workspace"):
        replay_dead(kitchen.db, why="everything")
    with pytest.raises(InvalidInput, match="limit"):
        replay_dead(kitchen.db, kind="letter", limit=0, why="none")


def test_of_two_dead_letters_with_one_key_only_the_newer_is_replayed_and_it_holds_the_key_again(
    kitchen: Kitchen, dead: list[int]
) -> None:
    kitchen.rows("UPDATE job SET workspace = 'acme'")
    assert replay_dead(kitchen.db, job_ids=dead, why="fixed") == 1
    assert kitchen.state(dead[-1]) == "PENDING"
    assert kitchen.put("letter", workspace="acme", dedupe_key="k") == [dead[-1]]
