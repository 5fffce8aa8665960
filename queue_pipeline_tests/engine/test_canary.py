"""Start, hold, resume, promote and abort a canary, and take back what a rollback did."""

import json
import unicodedata
from typing import Any

import pytest
import sqlalchemy as sa

from queue_pipeline.domain.canary import CanaryPlan, bucket_of, is_in
from queue_pipeline.domain.errors import InvalidInput, NotFound
from queue_pipeline.domain.flag import DRAFTS_AUTO_SEND, DRAIN_PARALLEL, SENDS_ENABLED
from queue_pipeline.engine import canary, flags
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine.canaries import INSIDE, OUTSIDE, SHORT, WHO, Rollout


@pytest.fixture
def rollout(db: Database) -> Rollout:
    """Two workspaces, one of which a canary lists."""
    return Rollout(db)


def value(db: Database, flag: str, workspace: str | None = None) -> str:
    with db.begin() as tx:
        return flags.value(tx, flag, workspace=workspace)


def test_the_database_puts_every_workspace_where_the_domain_puts_it(db: Database) -> None:
    names = ["acme", "a b", "Änderung", unicodedata.normalize("NFD", "Änderung"), "会社", "a'b", "🙂", "x" * 200]
    names += [f"team-{number}" for number in range(500)]
    with db.begin() as tx:
        asked = (
            "SELECT canary_bucket_of(name) FROM unnest(CAST(:names AS text[])) WITH ORDINALITY u(name, n) ORDER BY n"
        )
        found = list(tx.execute(sa.text(asked), {"names": names}).scalars())
        tx.execute(
            sa.text("INSERT INTO workspace_lane (workspace, shard) SELECT unnest(CAST(:names AS text[])), 'shard-00'"),
            {"names": names},
        )
        kept = {row[0]: row[1] for row in tx.execute(sa.text("SELECT workspace, canary_bucket FROM workspace_lane"))}
    assert found == [bucket_of(name) for name in names]
    assert kept == {name: bucket_of(name) for name in names}


@pytest.mark.parametrize("share", [0.01, 7.77, 50.0, 100.0])
def test_the_candidate_holds_for_the_workspaces_of_the_share_and_of_the_list_alone(db: Database, share: float) -> None:
    plan = CanaryPlan({DRAFTS_AUTO_SEND: "on"}, share, ("listed",), SHORT)
    canary.start(db, plan, **WHO)
    names = ["listed", *(f"team-{number}" for number in range(60))]
    got = {name: value(db, DRAFTS_AUTO_SEND, name) for name in names}
    assert got == {name: "on" if is_in(name, share=share, allow=["listed"]) else "off" for name in names}
    assert value(db, DRAFTS_AUTO_SEND) == "off", "what no workspace asks for is the value of all others"
    assert value(db, SENDS_ENABLED, "listed") == "on"


def test_a_canary_overrides_the_database_and_the_environment_while_it_lasts(db: Database, rollout: Rollout) -> None:
    flags.set_defaults({DRAFTS_AUTO_SEND: "on"})
    flags.flip(db, DRAFTS_AUTO_SEND, "on", **WHO)
    rollout.start(drafts__auto_send="off")
    assert (value(db, DRAFTS_AUTO_SEND, INSIDE), value(db, DRAFTS_AUTO_SEND, OUTSIDE)) == ("off", "on")
    canary.abort(db, who="olga", why="enough")
    assert value(db, DRAFTS_AUTO_SEND, INSIDE) == "on"
    ended = rollout.canary()
    assert (ended.state, ended.ended_by, ended.end_reason) == ("ABORTED", "olga", "enough")


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        (CanaryPlan({"sends": "on"}, 10.0), "Known flags"),
        (CanaryPlan({DRAFTS_AUTO_SEND: "maybe"}, 10.0), "It can be on or off"),
        (CanaryPlan({SENDS_ENABLED: "off"}, 10.0), "holds for the whole installation"),
        (CanaryPlan({"recovery.mode": "observe"}, 10.0), "holds for the whole installation"),
        (CanaryPlan({DRAFTS_AUTO_SEND: "on"}, 0.0), "Give a share above 0"),
    ],
)
def test_a_plan_that_cannot_be_starts_nothing(db: Database, plan: CanaryPlan, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        canary.start(db, plan, **WHO)
    assert canary.status(db) is None


@pytest.mark.parametrize("change", [{"who": " "}, {"why": ""}])
def test_nobody_decides_without_a_name_and_a_reason(db: Database, rollout: Rollout, change: dict[str, str]) -> None:
    rollout.start()
    words: Any = {**WHO, **change}
    for decide in (canary.hold, canary.resume, canary.abort, canary.promote, canary.undo, canary.acknowledge):
        with pytest.raises(InvalidInput, match="Say who decides and why"):
            decide(db, **words)
    with pytest.raises(InvalidInput, match="Say who decides and why"):
        canary.start(db, CanaryPlan({DRAFTS_AUTO_SEND: "on"}, 10.0), **words)


def test_one_canary_at_a_time(db: Database, rollout: Rollout) -> None:
    rollout.start()
    with pytest.raises(InvalidInput, match="Another canary is under way"):
        rollout.start()
    canary.abort(db, **WHO)
    assert rollout.start().canary_id > 1


def test_without_a_canary_there_is_nothing_to_decide(db: Database) -> None:
    for decide in (canary.hold, canary.resume, canary.abort, canary.promote):
        with pytest.raises(InvalidInput, match="No canary is under way"):
            decide(db, **WHO)
    for decide_rollback in (canary.undo, canary.acknowledge):
        with pytest.raises(InvalidInput, match="Nothing was ever rolled back"):
            decide_rollback(db, **WHO)
    with pytest.raises(NotFound, match="There is no such canary"):
        canary.status(db, canary_id=7)


def test_a_hold_keeps_the_candidate_and_takes_no_time_from_the_window(db: Database, rollout: Rollout) -> None:
    rollout.watching()
    rollout.pass_time(100)
    assert canary.hold(db, who="olga", why="lunch").state == "HELD"
    assert value(db, DRAFTS_AUTO_SEND, INSIDE) == "on"
    rollout.pass_time(5000)
    rollout.tick()
    assert rollout.state == "HELD"
    resumed = canary.resume(db, who="olga", why="back")
    assert resumed.state == "WATCHING"
    assert 99 < resumed.phase_seconds < 130
    rollout.pass_time(480)
    rollout.tick()
    assert rollout.state == "WATCHING"
    rollout.pass_time(30)
    rollout.tick()
    assert rollout.moves() == ["WARMING", "WATCHING", "HELD", "WATCHING", "COMPLETE"]


def test_a_hold_of_the_warm_up_does_not_shorten_the_window(db: Database, rollout: Rollout) -> None:
    rollout.start()
    rollout.pass_time(30)
    canary.hold(db, **WHO)
    rollout.pass_time(5000)
    assert canary.resume(db, **WHO).state == "WARMING"
    rollout.tick()
    assert rollout.state == "WARMING"
    rollout.pass_time(31)
    rollout.tick()
    watching = rollout.canary()
    assert watching.state == "WATCHING"
    assert watching.phase_seconds < 20


def test_only_what_is_held_is_resumed_and_what_is_complete_is_not_held(db: Database, rollout: Rollout) -> None:
    rollout.start()
    with pytest.raises(InvalidInput, match="It is WARMING, not HELD"):
        canary.resume(db, **WHO)
    canary.abort(db, **WHO)
    rollout.complete()
    with pytest.raises(InvalidInput, match="It is COMPLETE and cannot become HELD"):
        canary.hold(db, **WHO)


def test_a_canary_that_passed_becomes_everybodys_value(db: Database, rollout: Rollout) -> None:
    complete = rollout.complete()
    status = canary.status(db)
    assert status is not None
    assert (complete.state, status.verdict.verdict, status.verdict.said()) == ("COMPLETE", "PASS", "")
    promoted = canary.promote(db, who="olga", why="all is well")
    assert (promoted.state, promoted.end_reason) == ("PROMOTED", "all is well")
    assert value(db, DRAFTS_AUTO_SEND, OUTSIDE) == "on"
    (state,) = [state for state in flags.states(db) if state.flag == DRAFTS_AUTO_SEND]
    assert (state.value, state.source, state.canary_value, state.who) == ("on", "database", None, "olga")
    assert state.why == f"canary {promoted.canary_id} was promoted: all is well"


def test_a_canary_is_not_promoted_before_its_window_is_over_even_by_force(db: Database, rollout: Rollout) -> None:
    rollout.watching()
    with pytest.raises(InvalidInput, match="only a complete canary can be promoted"):
        canary.promote(db, force=True, **WHO)
    assert value(db, DRAFTS_AUTO_SEND) == "off"


def test_what_did_not_pass_is_promoted_by_force_alone_and_that_is_on_record(db: Database, rollout: Rollout) -> None:
    rollout.complete(jobs=9)
    with pytest.raises(InvalidInput, match=r"verdict is INCONCLUSIVE: started jobs: 9 .* --force"):
        canary.promote(db, **WHO)
    assert value(db, DRAFTS_AUTO_SEND) == "off"
    forced = canary.promote(db, force=True, who="olga", why="the board wants it")
    assert forced.end_reason == "forced in spite of INCONCLUSIVE: the board wants it"
    status = canary.status(db)
    assert status is not None
    assert "forced in spite of INCONCLUSIVE" in status.moves[-1].why
    assert value(db, DRAFTS_AUTO_SEND) == "on"


def test_time_after_the_window_makes_it_no_longer(db: Database, rollout: Rollout) -> None:
    rollout.complete(jobs=9)
    rollout.attempts(100)
    rollout.pass_time(60)
    rollout.tick()
    status = canary.status(db)
    assert status is not None
    assert status.samples[-1].phase == "COMPLETE"
    assert status.verdict.verdict == "INCONCLUSIVE"


def test_what_was_rolled_back_is_shown_of_its_own_canary_only(db: Database, rollout: Rollout) -> None:
    rollout.watching()
    rollout.stale_run()
    rollout.tick()
    rollout.run("UPDATE function_run SET state = 'RECOVERED', ended_at = now(), end_reason = 'stale'")
    first = rollout.canary()
    rollout.complete()
    old, new = canary.status(db, canary_id=first.canary_id), canary.status(db)
    assert old is not None
    assert new is not None
    assert (old.verdict.verdict, new.verdict.verdict) == ("FAIL", "PASS")
    assert {each.sampled_at for each in old.contention} == {each.sampled_at for each in old.samples}
    assert {each.sampled_at for each in new.contention} == {each.sampled_at for each in new.samples}


def test_one_action_takes_back_what_a_rollback_changed_and_the_canary_stays_back(
    db: Database, rollout: Rollout
) -> None:
    rollout.watching()
    rollout.sent_twice()
    rollout.tick()
    assert (value(db, SENDS_ENABLED), rollout.state) == ("off", "ROLLED_BACK")
    undone = canary.undo(db, who="olga", why="the provider counted wrongly")
    assert [dict(change) for change in undone.changes] == [
        {"flag": SENDS_ENABLED, "from_value": "on", "to_value": "off"}
    ]
    assert (value(db, SENDS_ENABLED), rollout.state) == ("on", "ROLLED_BACK")
    (state,) = [state for state in flags.states(db) if state.flag == SENDS_ENABLED]
    assert (state.who, state.why) == ("olga", "rollback 1 was undone: the provider counted wrongly")
    with pytest.raises(InvalidInput, match="olga has taken it back already"):
        canary.undo(db, who="mina", why="again")


def test_what_somebody_switched_off_after_a_rollback_is_not_switched_on_by_its_undoing(
    db: Database, rollout: Rollout
) -> None:
    rollout.watching()
    rollout.sent_twice()
    rollout.tick()
    flags.flip(db, SENDS_ENABLED, "off", who="mina", why="the provider is down too")
    assert canary.undo(db, **WHO).changes == []
    assert value(db, SENDS_ENABLED) == "off"


def test_taking_note_changes_nothing_and_is_done_once(db: Database, rollout: Rollout) -> None:
    rollout.watching()
    rollout.sent_twice()
    rollout.tick()
    canary.acknowledge(db, who="olga", why="I look into it")
    assert value(db, SENDS_ENABLED) == "off"
    with pytest.raises(InvalidInput, match="Noted already by olga: I look into it"):
        canary.acknowledge(db, who="mina", why="me too")


def test_a_candidate_is_kept_as_it_was_given(db: Database, rollout: Rollout) -> None:
    rollout.start(drafts__auto_send="on", drain__parallel="off")
    (row,) = rollout.run("SELECT candidate::text FROM canary")
    assert json.loads(row[0]) == {DRAFTS_AUTO_SEND: "on", DRAIN_PARALLEL: "off"}
