from datetime import UTC, datetime, timedelta

from queue_pipeline.domain.gap import Cause, Stretch, cause_of, clipped, uncovered

START = datetime(2031, 3, 4, 10, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def stretch(since: float, until: float, cause: Cause) -> Stretch:
    return Stretch(at(since), at(until), cause, cause.value)


def named(since: float, until: float, *stretches: Stretch) -> str | None:
    why = cause_of(at(since), at(until), stretches)
    return None if why is None else why.cause.value


def test_of_two_causes_that_cover_a_gap_the_more_telling_one_names_it() -> None:
    handler, provider = stretch(0, 10, Cause.HANDLER), stretch(1, 9, Cause.SLOW_PROVIDER)
    assert named(0, 10, handler, provider) == "slow_provider"


def test_a_cause_that_covers_a_moment_of_a_gap_does_not_name_it() -> None:
    assert named(0, 10, stretch(0, 10, Cause.HANDLER), stretch(1, 2, Cause.SLOW_PROVIDER)) == "handler"


def test_a_gap_that_nothing_covers_for_the_most_part_is_named_after_the_longest_part() -> None:
    assert named(0, 10, stretch(0, 1, Cause.HANDLER), stretch(1, 4, Cause.BACKOFF)) == "backoff"


def test_a_gap_without_evidence_has_no_cause() -> None:
    assert named(0, 10) is None
    assert named(0, 10, stretch(10, 20, Cause.HANDLER)) is None
    assert named(5, 5, stretch(0, 10, Cause.HANDLER)) is None


def test_what_is_left_of_a_time_is_what_no_span_covers() -> None:
    spans = [(at(8), at(12)), (at(2), at(4)), (at(3), at(5))]
    assert uncovered(at(0), at(10), spans) == [(at(0), at(2)), (at(5), at(8))]
    assert uncovered(at(0), at(10), []) == [(at(0), at(10))]
    assert uncovered(at(0), at(10), [(at(-5), at(20))]) == []


def test_a_stretch_is_cut_to_the_time_in_question() -> None:
    (cut,) = clipped(stretch(-5, 5, Cause.HANDLER), at(0), at(10))
    assert (cut.since, cut.until) == (at(0), at(5))
    assert clipped(stretch(-5, 0, Cause.HANDLER), at(0), at(10)) == []
