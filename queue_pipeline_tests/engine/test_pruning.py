import sqlalchemy as sa

from queue_pipeline import wiring
from queue_pipeline.domain.dedupe import FOREVER, Dedupe
from queue_pipeline.domain.retention import DAY_SECONDS, JOB_CLASSES
from queue_pipeline.engine.drain import DrainOptions, drain
from queue_pipeline.engine.enqueue import NewJob, enqueue_many
from queue_pipeline.engine.inbound import Acceptance, Delivery, accept
from queue_pipeline.engine.pruning import count_classes, prune_classes
from queue_pipeline.settings import Settings
from queue_pipeline.store.session import Database


def ages(days: int, *, dead: bool = False) -> dict[str, float]:
    return dict.fromkeys((*JOB_CLASSES, "dead_letters") if dead else JOB_CLASSES, days * DAY_SECONDS)


def prune(db: Database, *, days: int, dead: bool = False) -> int:
    return sum(each.rows for each in prune_classes(db, ages(days, dead=dead)))


def count(db: Database, table: str) -> int:
    with db.begin() as tx:
        return int(tx.execute(sa.text(f"SELECT count(*) FROM {table}")).scalar_one())


def finish(db: Database, settings: Settings, *, days_ago: int) -> None:
    registry = wiring.load_registry(settings)
    for number in range(settings.shards):
        drain(db, registry, DrainOptions(shard=f"shard-{number:02d}", until_empty=True, hand_over=False))
    with db.begin() as tx:
        tx.execute(sa.text("UPDATE job SET finished_at = now() - make_interval(days => :days)"), {"days": days_ago})


def work(db: Database, settings: Settings, jobs: int, *, dedupe: Dedupe | None = None) -> None:
    wiring.load_registry(settings)
    with db.begin() as tx:
        keyed = [NewJob("acme", {"seconds": 0}, f"key-{n}" if dedupe else None) for n in range(jobs)]
        enqueue_many(tx, "drill.work", keyed, dedupe=dedupe or Dedupe())


def test_old_jobs_go_in_batches_with_their_attempts(db: Database, settings: Settings) -> None:
    work(db, settings, 25)
    finish(db, settings, days_ago=10)
    assert prune(db, days=30) == 0
    assert sum(count_classes(db, ages(9)).values()) == 25
    seen: list[tuple[str, int]] = []
    prune_classes(db, ages(9), batch=10, on_batch=lambda name, rows: seen.append((name, rows)))
    assert seen == [("jobs", 10), ("jobs", 20), ("jobs", 25)]
    assert (count(db, "job"), count(db, "job_attempt")) == (0, 0)


def test_waiting_jobs_and_dead_letters_stay(db: Database, settings: Settings) -> None:
    work(db, settings, 2)
    with db.begin() as tx:
        tx.execute(sa.text("UPDATE job SET payload = '[]', max_attempts = 1"))
    finish(db, settings, days_ago=10)
    work_waiting = count(db, "job")
    assert prune(db, days=1) == 0
    assert count(db, "job") == work_waiting
    assert prune(db, days=1, dead=True) == 2


def test_a_job_that_still_holds_its_key_stays(db: Database, settings: Settings) -> None:
    work(db, settings, 1, dedupe=Dedupe(window=FOREVER))
    finish(db, settings, days_ago=10)
    assert prune(db, days=1) == 0


def test_a_pruned_lead_is_still_recognised_and_its_outcome_stays(db: Database, settings: Settings) -> None:
    wiring.load_registry(settings)
    delivery = Delivery("acme", "test", {"provider": "test", "body": "Hello"}, dedupe_key="1")
    accept(db, [delivery])
    finish(db, settings, days_ago=10)
    assert prune(db, days=1) == 1
    (again,) = accept(db, [delivery])
    assert again.acceptance is Acceptance.DUPLICATE
    assert (count(db, "job"), count(db, "job_step"), count(db, "lead_outcome")) == (0, 0, 1)
