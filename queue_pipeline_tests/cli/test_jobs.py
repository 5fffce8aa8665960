import pytest
import sqlalchemy as sa

from queue_pipeline.store.session import Database
from queue_pipeline_tests.cli.conftest import Command

WORK = ("enqueue", "drill.work", "--workspace", "acme")


def test_an_enqueued_job_is_listed_told_and_cancelled(run: Command) -> None:
    job_id = run(*WORK, "--payload", '{"seconds": 0}', "--priority", "-5").out.strip()
    (job,) = run("jobs", "--state", "pending", "--json").data
    assert (str(job["job_id"]), job["priority"]) == (job_id, -5)
    assert job_id in run("jobs", "--kind", "drill.work", "--workspace", "acme").out
    assert "enqueued" in run("trace", job_id).out
    assert run("cancel", job_id, "--why", "a test").code == 0
    (story,) = run("trace", job_id, "--json").data
    assert story["state"] == "CANCELLED"
    assert run("cancel", job_id).code == 3


def test_a_second_job_with_the_key_is_the_first_one(run: Command) -> None:
    first = run(*WORK, "--payload", "{}", "--dedupe-key", "k", "--dedupe-window", "60", "--json").data
    again = run(*WORK, "--payload", "{}", "--dedupe-key", "k")
    assert (first["deduplicated"], again.out.strip()) == (False, str(first["job_id"]))
    assert "already" in again.err
    assert run(*WORK, "--payload", "{}", "--dedupe-key", "k", "--dedupe-policy", "reject").code == 3


def test_a_job_may_be_due_later(run: Command) -> None:
    run(*WORK, "--payload", "{}", "--run-at", "2099-01-01T00:00:00+01:00")
    (job,) = run("jobs", "--json").data
    assert (job["state"], job["run_at"][:4]) == ("SCHEDULED", "2098")


def test_dead_letters_are_listed_and_replayed(run: Command, db: Database) -> None:
    job_id = run(*WORK, "--payload", "{}").out.strip()
    with db.begin() as tx:
        claim = "fence = 1, function_run_id = 1, claimed_at = now(), deadline_at = now()"
        run_it = f"UPDATE job SET state = 'RUNNING', {claim}"
        no_claim = "fence = NULL, function_run_id = NULL"
        end_it = f"UPDATE job SET state = 'DEAD', {no_claim}, finished_at = now(), last_error = 'no'"
        tx.execute(sa.text(run_it))
        tx.execute(sa.text(end_it))
    assert "no" in run("dead").out
    assert run("replay-dead", job_id, "--json").data == {"replayed": 1}
    assert run("dead", "--json").data == []
    assert "0 dead letters" in run("replay-dead", "--kind", "drill.work").err


def test_health_exits_with_2_before_the_first_sweep_and_with_0_after_it(run: Command) -> None:
    assert run("health").code == 2
    assert run("recover").code == 0
    healthy = run("health", "--json")
    assert (healthy.code, healthy.data["verdict"]) == (0, "pass")
    assert "Verdict: pass" in run("health").err


def test_health_exits_with_1_when_a_limit_is_broken(run: Command, db: Database) -> None:
    run(*WORK, "--payload", "{}")
    run("recover")
    with db.begin() as tx:
        tx.execute(sa.text("UPDATE job SET first_due_at = now() - interval '10 minutes'"))
    broken = run("health", "--json")
    assert (broken.code, broken.data["verdict"]) == (1, "breach")


@pytest.mark.parametrize("command", ["running", "outbox", "dead", "jobs", "shards"])
def test_an_empty_list_says_so_on_stderr_and_is_a_list_in_json(run: Command, command: str) -> None:
    ran = run(command)
    assert (ran.code, ran.out) == (0, "")
    assert ran.err.strip()
    assert run(command, "--json").data in ([], {"shards": 4, "moved": 0, "misplaced": 0, "by_shard": []})


def test_recover_finds_an_orphaned_window_and_a_dry_run_leaves_it(run: Command, db: Database) -> None:
    with db.begin() as tx:
        columns = "dispatch_key, shard, source, launch_by"
        tx.execute(sa.text(f"INSERT INTO dispatch_window ({columns}) VALUES ('k', 'shard-00', 'cron', now())"))
    assert "orphaned" in run("recover", "--dry-run").out
    (decision,) = run("recover", "--json").data["decisions"]
    assert decision["acted"]
    assert run("recover").out == ""


def test_text_that_would_steer_a_terminal_is_made_harmless(run: Command, db: Database) -> None:
    run(*WORK, "--payload", "{}")
    with db.begin() as tx:
        tx.execute(sa.text("UPDATE job SET last_error = E'\\x1b[31m[bold]red'"))
    out = run("jobs").out
    assert "\x1b" not in out
    assert "[bold]red" in out


def test_prune_and_shards_tell_what_they_did(run: Command) -> None:
    assert run("prune", "--older-than-days", "0", "--dry-run", "--json").data == {"prunable": 0, "pruned": 0}
    assert "0 jobs were deleted" in run("prune", "--older-than-days", "30", "--dead").err


def test_prune_forgets_by_class_and_a_dry_run_counts(run: Command, db: Database) -> None:
    with db.begin() as tx:
        tx.execute(
            sa.text(
                "INSERT INTO late_write (refused_at, job_id, fence, function_run_id, wanted) "
                "SELECT now() - n * interval '40 days', 1, 1, 1, 'x' FROM generate_series(1, 3) n"
            )
        )
    counted = run("prune", "--dry-run", "--json").data
    assert counted["by_class"]["late_writes"] == {"prunable": 1, "pruned": 0}
    assert "dead_letters" not in counted["by_class"], "they wait for a person"
    done = run("prune", "--class", "late_writes", "--older-than-days", "50", "--json").data
    assert done == {"prunable": 2, "pruned": 2, "by_class": {"late_writes": {"prunable": 2, "pruned": 2}}}
    assert run("prune", "--json").data["pruned"] == 0
    assert "rows were deleted" in run("prune", "--class", "late_writes").err


def test_prune_asks_for_an_age_where_a_class_has_none_and_refuses_what_is_no_class(run: Command) -> None:
    assert run("prune", "--class", "dead_letters").code == 3
    assert run("prune", "--dead").code == 3
    assert run("prune", "--class", "sends").code == 3


def test_shards_asks_for_a_remap_after_their_number_was_changed(
    run: Command, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with db.begin() as tx:
        tx.execute(
            sa.text(
                "INSERT INTO workspace_lane (workspace, shard) "
                "SELECT w, shard_of_workspace(w, 4) FROM (SELECT 'w' || n AS w FROM generate_series(1, 20) n) s"
            )
        )
    assert run("shards").code == 0
    monkeypatch.setenv("QUEUE_PIPELINE_SHARDS", "6")
    asked = run("shards")
    assert asked.code == 1
    assert "--remap" in asked.err
    moved = run("shards", "--remap", "--json")
    assert moved.code == 0
    assert moved.data["moved"] > 0
    assert run("shards").code == 0
