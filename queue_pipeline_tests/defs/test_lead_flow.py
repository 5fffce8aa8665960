"""What the asset `lead_flow` shows: every message with its outcome and times, and nobody's name."""

from typing import Any

import dagster as dg

from queue_pipeline import wiring
from queue_pipeline.defs.health import innermost_frame
from queue_pipeline.defs.lead_flow import lead_flow
from queue_pipeline.domain.lane import shard_names
from queue_pipeline.engine.drain import DrainOptions, drain
from queue_pipeline.engine.inbound import Delivery, accept
from queue_pipeline.engine.lead_task import finish
from queue_pipeline.leads.samples import SAMPLES
from queue_pipeline.settings import Settings
from queue_pipeline.store.session import Database
from queue_pipeline_tests.defs.conftest import Shell


def _deliver_samples(db: Database) -> None:
    deliveries = [
        Delivery(
            workspace=workspace,
            provider="sample",
            payload={"provider": "sample", **payload},
            dedupe_key=payload["provider_event_id"],
        )
        for workspace, payload in SAMPLES
    ]
    accept(db, deliveries)


def _shown(shell: Shell) -> dict[str, Any]:
    result = dg.materialize([lead_flow], resources={"queue": shell.resource}, instance=shell.instance)
    return dict(result.asset_materializations_for_node("lead_flow")[0].metadata)


def _records(shell: Shell) -> Any:
    return _shown(shell)["latest"].value.records


def test_every_drained_lead_is_shown_with_an_outcome_and_a_notification_and_without_a_name(
    shell: Shell, settings: Settings
) -> None:
    registry = wiring.load_registry(settings)
    _deliver_samples(shell.db)
    assert _shown(shell)["without_outcome"].value == len(SAMPLES)
    for shard in shard_names(4):
        drain(shell.db, registry, DrainOptions(shard=shard, until_empty=True, hand_over=False))
    shown = _shown(shell)
    assert shown["without_outcome"].value == 0
    assert shown["without_notification"].value == 0
    waiting = shown["waiting_for_review"].value.records
    assert len(waiting) == len(shell.rows("SELECT 1 FROM draft WHERE state = 'FOR_REVIEW'")) > 0
    assert f"{len(waiting)} drafts wait for review" in shown["summary"].value
    text = str(shown["latest"].value.records) + str(waiting) + str(shown["summary"].value)
    for _, payload in SAMPLES:
        for personal in (payload.get("from_address"), payload.get("from_name"), payload.get("subject")):
            assert not personal or personal not in text
    for draft in shell.rows("SELECT body FROM draft"):
        assert not any(line in text for line in draft.body.splitlines() if line)


def test_what_needs_a_person_is_first_until_the_task_is_done(shell: Shell, settings: Settings) -> None:
    registry = wiring.load_registry(settings)
    _deliver_samples(shell.db)
    for shard in shard_names(4):
        drain(shell.db, registry, DrainOptions(shard=shard, until_empty=True, hand_over=False))
    tasks = shell.rows("SELECT lead_task_id, job_id FROM lead_task ORDER BY job_id DESC")
    assert len(tasks) >= 2
    assert [int(row.data["job"]) for row in _records(shell)][: len(tasks)] == [task.job_id for task in tasks]
    finish(shell.db, tasks[0].lead_task_id, who="Mina")
    records = _records(shell)
    assert [int(row.data["job"]) for row in records][: len(tasks) - 1] == [task.job_id for task in tasks[1:]]
    (done,) = [row.data for row in records if row.data["job"] == str(tasks[0].job_id)]
    assert done["task"].endswith(", done")
    assert done["outcome"] == "needs action"


def test_the_innermost_frame_of_a_stack_is_one_line() -> None:
    stack = '  File "a.py", line 1, in outer\n    inner()\n  File "b.py", line 2, in inner\n    wait()\n'
    assert innermost_frame(stack) == 'File "b.py", line 2, in inner wait()'
