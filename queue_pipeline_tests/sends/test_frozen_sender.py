"""A sender that is stopped in the middle of a send and wakes up when others have drawn their conclusions."""

import multiprocessing
import os
import signal

import psutil
import pytest

from queue_pipeline import enqueue
from queue_pipeline.domain.lane import shard_of
from queue_pipeline.engine.handlers import HandlerSpec, Registry
from queue_pipeline.engine.reconcile import reconcile
from queue_pipeline.engine.send_provider import send_providers
from queue_pipeline.store.session import Database
from queue_pipeline_tests.sends.provider_server import Provider, serving
from queue_pipeline_tests.sends.worker import KIND, LIMITS, make_provider, work
from queue_pipeline_tests.waiting import eventually

pytestmark = pytest.mark.faults
WORKSPACE = "acme"


@pytest.mark.parametrize(("spec", "state", "copies"), [("nothing", "NEEDS_HUMAN", 0), ("key", "SENT", 1)])
@pytest.mark.parametrize("point", ["after begin", "before begin"])
def test_a_sender_that_wakes_up_too_late_does_not_call_the_provider(
    db: Database, database_url: str, spec: str, state: str, copies: int, point: str
) -> None:
    registry = Registry()
    registry.add(HandlerSpec(KIND, lambda *_: None, None, 30, 5, 10.0, 0.0, False))
    with db.begin() as tx:
        payload = {"to": "ada@customer.example", "text": "Hello"}
        enqueue(tx, KIND, workspace=WORKSPACE, payload=payload, handlers=registry)
    provider = Provider([], honours_keys=spec == "key")
    name = f"frozen-{spec}-{point.replace(' ', '-')}"
    context = multiprocessing.get_context("spawn")
    told, tell = context.Pipe(duplex=False)
    with serving(provider) as url:
        send_providers.register(make_provider(spec, name, url))
        arguments = (database_url, shard_of(WORKSPACE, 100), spec, name, url, point, tell, True)
        process = context.Process(target=work, args=arguments, daemon=True)
        process.start()
        try:
            assert told.poll(60), "the sender never came to the point"
            assert process.pid is not None
            frozen = psutil.Process(process.pid)  # it tells before it stops, and must not be woken in between
            eventually(lambda: frozen.status() == psutil.STATUS_STOPPED, within=30, what="the sender to stand still")
            if point == "before begin":  # its transaction is open: nobody else sees an attempt
                assert reconcile(db, by="test", limits=LIMITS).done == {}
                os.kill(process.pid, signal.SIGCONT)
                eventually(lambda: _state(db) == "SENT", within=20, what="the message to be sent")
                assert provider.copies == 1
                return
            eventually(lambda: _reconciled(db) == state, within=20, what=f"the message to be {state}")
            assert (provider.requests, provider.copies) == (copies, copies)
            os.kill(process.pid, signal.SIGCONT)
            eventually(lambda: _job_state(db) == "SUCCEEDED", within=40, what="the job of the late sender to end")
        finally:
            process.kill()
            process.join(10)
    assert (provider.requests, provider.copies, _state(db)) == (copies, copies, state)


def _reconciled(db: Database) -> str:
    reconcile(db, by="test", limits=LIMITS)
    return _state(db)


def _state(db: Database) -> str:
    with db.begin() as tx:
        return str(tx.exec_driver_sql("SELECT state FROM outbound_message").scalar_one())


def _job_state(db: Database) -> str:
    with db.begin() as tx:
        return str(tx.exec_driver_sql("SELECT state FROM job").scalar_one())
