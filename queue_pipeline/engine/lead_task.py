"""What people must do for leads: list the tasks, and note the done ones."""

from queue_pipeline.domain.errors import InvalidInput, NotFound
from queue_pipeline.store import lead_task as store
from queue_pipeline.store.lead_task import LeadTask
from queue_pipeline.store.session import Database


def tasks(database: Database, *, workspace: str | None, with_done: bool, limit: int) -> list[LeadTask]:
    """Tasks, open ones first, the most urgent first."""
    with database.begin() as tx:
        return store.tasks(tx, workspace=workspace, with_done=with_done, limit=limit)


def finish(database: Database, lead_task_id: int, *, who: str) -> None:
    """Note that a task is done. Raises NotFound when there is no such open task."""
    if not who.strip():
        raise InvalidInput("who", who, "Say who did it; it is kept as evidence.")
    with database.begin() as tx:
        if store.done(tx, lead_task_id, who=who.strip()):
            return
        found = store.state_of(tx, lead_task_id)
    if found is None:
        raise NotFound("task_id", lead_task_id, "There is no such task; `queue-pipeline tasks` lists them.")
    raise NotFound("task_id", lead_task_id, f"The task is done already, by {found[1]}.")
