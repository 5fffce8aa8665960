from datetime import UTC, datetime, timedelta

import pytest

from queue_pipeline.domain.gap import Cause, Stretch
from queue_pipeline.domain.trace import TraceEvent, in_order, last_frame, longest_gap

START = datetime(2031, 3, 4, 10, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def event(seconds: float, what: str, *, beside: bool = False) -> TraceEvent:
    return TraceEvent(at(seconds), what, beside=beside)


def because(since: float, until: float, sentence: str) -> Stretch:
    return Stretch(at(since), at(until), Cause.HANDLER, sentence)


def test_events_are_told_in_order_with_the_gap_before_each() -> None:
    told = in_order([event(5, "started"), event(0, "enqueued"), event(5.5, "succeeded")])
    assert [(e.what, e.gap_seconds) for e in told] == [("enqueued", 0), ("started", 5), ("succeeded", 0.5)]


def test_the_longest_gap_names_its_cause_and_what_ended_it() -> None:
    told = in_order(
        [event(0, "enqueued"), event(5, "started"), event(6, "succeeded")],
        [because(0, 5, "nobody came"), because(5, 6, "it worked")],
    )
    longest = longest_gap(told)
    assert longest is not None
    assert (longest.seconds, longest.because, longest.after, longest.before) == (
        5,
        "nobody came",
        "enqueued",
        "started",
    )


def test_neighbouring_gaps_with_one_cause_are_one_gap() -> None:
    told = in_order(
        [event(0, "enqueued"), event(4, "window opened", beside=True), event(8, "claimed"), event(14, "succeeded")],
        [because(0, 8, "nobody came"), because(8, 14, "it worked")],
    )
    longest = longest_gap(told)
    assert longest is not None
    assert (longest.seconds, longest.because, longest.before) == (8, "nobody came", "claimed")


def test_the_time_after_the_last_event_of_the_job_itself_is_no_gap() -> None:
    told = in_order([event(0, "enqueued"), event(2, "succeeded"), event(9000, "wrote again", beside=True)])
    longest = longest_gap(told)
    assert longest is not None
    assert longest.before == "succeeded"


def test_a_story_without_a_wait_has_no_longest_gap() -> None:
    assert longest_gap(()) is None
    assert longest_gap(in_order([event(0, "enqueued"), event(0, "claimed")])) is None


STACK = """  File "app/drafter.py", line 3, in ask
    wait()
  File "/usr/lib/python3.12/threading.py", line 9, in wait
    waiter.acquire()
"""


@pytest.mark.parametrize(
    ("stack", "frame"),
    [
        (STACK, 'File "app/drafter.py", line 3, in ask'),
        (
            '  File "/usr/lib/python3.12/queue.py", line 9, in get\n',
            'File "/usr/lib/python3.12/queue.py", line 9, in get',
        ),
        ("no stack at all\n", "no stack at all"),
        ("", ""),
    ],
)
def test_the_last_frame_is_the_innermost_line_of_the_program_itself(stack: str, frame: str) -> None:
    assert last_frame(stack) == frame
