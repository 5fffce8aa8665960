from collections.abc import Callable, Iterator

import psycopg
import pytest

from queue_pipeline.domain.canary import CanaryContract
from queue_pipeline.domain.rollout_checklist import REQUIRED
from queue_pipeline.engine.evidence_packet import gather, keep, load
from queue_pipeline.engine.rollout_decision import RolloutDecided, decide_rollout, decisions
from queue_pipeline.store.session import Database
from queue_pipeline_tests.engine.planted import unguard
from queue_pipeline_tests.engine.rollout import HERE, Rollout, png


@pytest.fixture
def rollout(db: Database) -> Iterator[Rollout]:
    with db.direct() as connection:
        yield Rollout(db, connection)


def decided(db: Database) -> RolloutDecided:
    return decide_rollout(db, keep(db, gather(db, HERE, png)))


def standing(found: RolloutDecided) -> dict[str, str]:
    return {item.name: item.status for item in found.items if item.status != "pass"}


def test_everything_good_is_go(db: Database, rollout: Rollout) -> None:
    found = decided(rollout.all_good().db)
    assert standing(found) == {}
    assert found.decision.verdict == "GO"
    assert found.decision.canary_id == rollout.canary_id
    assert {item.name for item in found.items} == {*REQUIRED, "evidence packet"}


def test_an_empty_database_is_inconclusive_and_says_what_was_not_measured(db: Database, rollout: Rollout) -> None:
    found = decided(db)
    assert found.decision.verdict == "INCONCLUSIVE"
    assert set(standing(found).values()) == {"unmeasured"}
    assert "replay gate" in standing(found)
    assert "canary: window" in standing(found)


def twice_sent(rollout: Rollout) -> None:
    unguard(rollout.connection)
    message = rollout.planted.sent(workspace=rollout.one_of("canary"))
    rollout.planted.evidence(message)


def flipped(flag: str) -> Callable[[Rollout], None]:
    def flip(rollout: Rollout) -> None:
        rollout.run("UPDATE control_flag SET value = 'observe' WHERE flag = %s", flag)

    return flip


def page(rollout: Rollout) -> None:
    rollout.run(
        "INSERT INTO alert_incident (dedup_key, generation, kind, severity, status, fired_at)"
        " VALUES ('local:stale_run:drain', 1, 'stale_run', 'page', 'firing', now())"
    )


def slow_canary(rollout: Rollout) -> None:
    rollout.jobs("canary", 60, waited=30)


def stuck_canary(rollout: Rollout) -> None:
    rollout.waiting("canary", 60, minutes=30)


def unknown_send(rollout: Rollout) -> None:
    rollout.planted.message("UNKNOWN")


FAILS: dict[str, tuple[Callable[[Rollout], None], set[str]]] = {
    "rolled back": (lambda rollout: rollout.rolled_back(), {"canary: rollback"}),
    "sent twice": (twice_sent, {"duplicate-send audit", "keys sent twice"}),
    "slow canary": (slow_canary, {"waits against control"}),
    "jobs that stand still": (stuck_canary, {"waits against control"}),
    "failing canary": (lambda rollout: rollout.jobs("canary", 60, outcome="FAILED"), {"failure rate"}),
    "unknown send": (unknown_send, {"unknown sends", "duplicate-send audit"}),
    "failed replay": (lambda rollout: rollout.replay(exit_code=1), {"replay gate"}),
    "recovery only observes": (flipped("recovery.mode"), {"recovery.mode"}),
    "rollback only observes": (flipped("rollback.mode"), {"rollback.mode"}),
    "somebody is paged": (page, {"open pages"}),
}


@pytest.mark.parametrize("name", FAILS)
def test_each_thing_that_is_bad_is_no_go(db: Database, rollout: Rollout, name: str) -> None:
    spoil, items = FAILS[name]
    rollout.all_good()
    spoil(rollout)
    found = decided(db)
    assert found.decision.verdict == "NO-GO"
    assert standing(found) == dict.fromkeys(items, "fail")
    knobs = {item.name: item.knobs for item in found.items}
    assert all(knobs[item] for item in items)
    assert "## What can be turned" in load(db, found.decision.packet_sha256).packet.markdown


UNMEASURED: dict[str, tuple[Callable[[Rollout], None], set[str]]] = {
    "replay could not measure": (lambda rollout: rollout.replay(exit_code=2), {"replay gate"}),
    "another drafter": (lambda rollout: rollout.replay(drafter="language model x"), {"replay gate"}),
    "console only": (
        lambda rollout: rollout.proofs(read_back=False, sink="console"),
        {"alert path stale_run", "alert path queue_age"},
    ),
    "another channel": (
        lambda rollout: rollout.proofs(sink="slack:C0OTHER"),
        {"alert path stale_run", "alert path queue_age"},
    ),
}


@pytest.mark.parametrize("name", UNMEASURED)
def test_each_thing_that_is_not_known_is_inconclusive(db: Database, rollout: Rollout, name: str) -> None:
    spoil, items = UNMEASURED[name]
    rollout.all_good()
    spoil(rollout)
    found = decided(db)
    assert found.decision.verdict == "INCONCLUSIVE"
    assert standing(found) == dict.fromkeys(items, "unmeasured")


def test_a_dry_run_takes_nothing_from_the_replay_before_it(db: Database, rollout: Rollout) -> None:
    rollout.all_good().replay(dry_run=True, exit_code=1)
    assert decided(db).decision.verdict == "GO"


def test_what_is_old_does_not_count(db: Database, rollout: Rollout) -> None:
    rollout.lanes()
    rollout.canary()
    rollout.replay(hours_ago=25)
    rollout.proofs(hours_ago=25)
    found = standing(decided(db))
    assert found["replay gate"] == found["alert path stale_run"] == "unmeasured"


def test_a_shortened_window_is_never_go(db: Database) -> None:
    with db.direct() as connection:
        short = CanaryContract(warm_up_seconds=60, window_seconds=3600, samples_min=55, started_min=200)
        found = decided(Rollout(db, connection, short).all_good().db)
    assert standing(found) == {"failure contract": "unmeasured"}
    assert found.decision.verdict == "INCONCLUSIVE"
    assert "warm-up: 60 s instead of 600 s" in found.decision.reasons[0]


def test_an_old_packet_and_a_changed_one_are_not_decided_on(db: Database, rollout: Rollout) -> None:
    keep(db, gather(rollout.all_good().db, HERE, png))
    rollout.run("ALTER TABLE evidence_packet DISABLE TRIGGER ALL")
    rollout.run("UPDATE evidence_packet SET created_at = now() - interval '16 minutes'")
    old = decide_rollout(db, load(db))
    assert (old.decision.verdict, standing(old)) == ("INCONCLUSIVE", {"evidence packet": "unmeasured"})
    rollout.run("UPDATE evidence_packet SET png = 'x'")
    changed = decide_rollout(db, load(db))
    assert (changed.decision.verdict, standing(changed)) == ("NO-GO", {"evidence packet": "fail"})


def test_decisions_are_kept_newest_first_and_never_changed(db: Database, rollout: Rollout) -> None:
    first = decided(db).decision
    second = decided(rollout.all_good().db).decision
    assert decisions(db, limit=5) == [second, first]
    assert [second.verdict, first.verdict] == ["GO", "INCONCLUSIVE"]
    with pytest.raises(psycopg.errors.CheckViolation, match="append-only"):
        rollout.run("UPDATE rollout_decision SET verdict = 'GO'")
