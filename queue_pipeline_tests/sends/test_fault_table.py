"""Every fault of a send against every answer of a provider: nothing twice, nothing lost, nothing silently stuck.

The worker is a real drain in a process of its own, killed with SIGKILL before or after each transition; the provider
is a real server on loopback whose own journal says what the customer got. What came of each pair is in
docs/send-faults.md, and this test fails when that page says something else.
"""

from __future__ import annotations

import multiprocessing
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest
import sqlalchemy as sa

from queue_pipeline import enqueue
from queue_pipeline.domain.errors import DatabaseUnavailable
from queue_pipeline.domain.lane import shard_of
from queue_pipeline.engine.handlers import HandlerSpec, Registry
from queue_pipeline.engine.reconcile import reconcile
from queue_pipeline.engine.recovery import sweep
from queue_pipeline.engine.send_provider import send_providers
from queue_pipeline.store.session import Database
from queue_pipeline_tests.sends.mail_server import serving_mail
from queue_pipeline_tests.sends.provider_server import Provider, serving
from queue_pipeline_tests.sends.worker import KIND, LIMITS, POINTS, SPECS, make_provider, work
from queue_pipeline_tests.waiting import eventually

PAGE = Path(__file__).parents[2] / "docs" / "send-faults.md"
ANSWERS = ("ok", "429", "500", "500 after accept", "drop before accept", "drop after accept", "hang", "garbage", "422")
MAIL_ANSWERS = ("ok", "450", "451", "550", "554", "drop before accept", "drop after accept", "hang", "garbage")
NO_KILL = "not killed"
DURING = "during the call"
FAULTS = (NO_KILL, *POINTS[:4], DURING, *POINTS[4:])
#: Enough at once to keep two processors busy while most of them wait for deadlines.
AT_ONCE = 12
ENDS = {"SENT", "REJECTED", "CANCELLED", "NEEDS_HUMAN"}


@dataclass(frozen=True)
class Result:
    """How a message ended, and how often the customer got it by the provider's own journal."""

    state: str
    copies: int

    def words(self) -> str:
        """The cell of the table."""
        if self.state == "NEEDS_HUMAN":
            return "person, delivered" if self.copies else "person, not delivered"
        return {"SENT": "sent once", "REJECTED": "rejected"}[self.state]


class Scene:
    """One database, a housekeeper that sweeps and reconciles all the time, and workers to be killed."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.db = Database(url, pool_size=20)
        self.context: ForkServerContext = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["queue_pipeline_tests.sends.worker"])
        self._stop = threading.Event()
        self._housekeeper = threading.Thread(target=self._keep_house, daemon=True)
        self._housekeeper.start()
        self._registry = Registry()
        self._registry.add(HandlerSpec(KIND, lambda *_: None, None, 30, 5, 10.0, 0.0, False))

    def close(self) -> None:
        self._stop.set()
        self._housekeeper.join(30)
        self.db.dispose()

    def _keep_house(self) -> None:
        while not self._stop.wait(0.1):
            try:
                sweep(self.db, by="test", limits=LIMITS)
                reconcile(self.db, by="test", limits=LIMITS, budget_seconds=5.0)
            except DatabaseUnavailable:  # the last turn of all, when the test has ended
                return

    def run(self, number: int, spec: str, fault: str, answer: str) -> Result:
        """Send one message through this fault and this answer, and wait until it has ended."""
        workspace, shard = _workspace_of(number)
        name = f"{spec}-{number}"
        with _provider(spec, answer) as (provider, url):
            provider.hold_first = fault == DURING
            send_providers.register(make_provider(spec, name, url))
            with self.db.begin() as tx:
                payload = {"to": f"lead{number}@customer.example", "text": f"Message {number}"}
                job_id = enqueue(tx, KIND, workspace=workspace, payload=payload, handlers=self._registry).job_id
            if fault != NO_KILL:
                with self._worker(shard, spec, name, url, None if fault == DURING else fault) as (process, told):
                    if fault == DURING:
                        assert provider.arrived.wait(60), "the provider was never called"
                    else:
                        assert told.poll(60), f"the worker never came to {fault!r}"
                    process.kill()
                    process.join(10)
                provider.released.set()
            with self._worker(shard, spec, name, url, None):
                eventually(lambda: self._job_ended(job_id), within=120, what=f"job {job_id} to end")
                eventually(lambda: self._ended(job_id), within=120, what=f"the message of job {job_id} to end")
            return Result(self._state(job_id), provider.copies)

    @contextmanager
    def _worker(
        self, shard: str, spec: str, name: str, url: str, point: str | None
    ) -> Iterator[tuple[multiprocessing.context.ForkServerProcess, multiprocessing.connection.Connection]]:
        told, tell = self.context.Pipe(duplex=False)
        process = self.context.Process(target=work, args=(self.url, shard, spec, name, url, point, tell), daemon=True)
        process.start()
        try:
            yield process, told
        finally:
            process.kill()
            process.join(10)

    def _job_ended(self, job_id: int) -> bool:
        return self._one("SELECT state FROM job WHERE job_id = :job_id", job_id) in ("SUCCEEDED", "DEAD")

    def _ended(self, job_id: int) -> bool:
        return self._state(job_id) in ENDS

    def _state(self, job_id: int) -> str:
        return self._one("SELECT state FROM outbound_message WHERE job_id = :job_id", job_id)

    def _one(self, statement: str, job_id: int) -> str:
        with self.db.begin() as tx:
            return str(tx.execute(sa.text(statement), {"job_id": job_id}).scalar_one_or_none())


@contextmanager
def _provider(spec: str, answer: str) -> Iterator[tuple[Provider, str]]:
    script = [] if answer == "ok" else [answer]
    if spec == "smtp":
        with serving_mail(script) as (provider, url):
            yield provider, url
        return
    provider = Provider(script, honours_keys=spec == "key")
    with serving(provider) as url:
        yield provider, url


def _workspace_of(number: int) -> tuple[str, str]:
    """A workspace that alone lives on its shard, so that this scenario's drain finds no other's job."""
    shard = f"shard-{number:02d}"
    name = next(f"w{n}" for n in range(100_000) if shard_of(f"w{n}", 100) == shard)
    return name, shard


@pytest.fixture
def scene(database_url: str) -> Iterator[Scene]:
    scene = Scene(database_url)
    yield scene
    scene.close()


@pytest.mark.parametrize("spec", SPECS)
def test_no_fault_sends_twice_or_loses_a_message(scene: Scene, spec: str) -> None:
    answers = MAIL_ANSWERS if spec == "smtp" else ANSWERS
    pairs = [(fault, answer) for fault in FAULTS for answer in answers]
    assert len(pairs) <= 100  # a shard each
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = dict(zip(pairs, pool.map(lambda n: scene.run(n, spec, *pairs[n]), range(len(pairs))), strict=True))
    broken = {pair: result for pair, result in results.items() if not _holds(spec, result, pair[1])}
    assert broken == {}
    page = {
        (fault, answer): cell
        for fault, cells in _table(PAGE.read_text(encoding="utf-8"), spec).items()
        for answer, cell in zip(answers, cells, strict=True)
    }
    for number, pair in enumerate(pairs):
        if results[pair].words() != page.get(pair):
            # On a busy machine an answer can come after its deadline; what the page says is what happens in time.
            results[pair] = scene.run(number, spec, *pair)
            assert _holds(spec, results[pair], pair[1])
    measured = {fault: [results[fault, answer].words() for answer in answers] for fault in FAULTS}
    assert page == {pair: result.words() for pair, result in results.items()}, (
        f"measured:\n{_markdown(answers, measured)}"
    )


def _holds(spec: str, result: Result, answer: str) -> bool:
    """Never twice; SENT means delivered; REJECTED means not; and only where no provider can tell is a person asked."""
    if result.copies > 1 or result.state not in ENDS:
        return False
    if result.state == "SENT":
        return result.copies == 1
    if result.state == "REJECTED":
        return result.copies == 0 and answer in ("422", "550", "554")
    return result.state == "NEEDS_HUMAN" and spec in ("nothing", "smtp")


def _markdown(answers: tuple[str, ...], measured: dict[str, list[str]]) -> str:
    lines = [f"| killed | {' | '.join(answers)} |", "|---" * (len(answers) + 1) + "|"]
    return "\n".join([*lines, *(f"| {fault} | {' | '.join(cells)} |" for fault, cells in measured.items())])


def _table(page: str, spec: str) -> dict[str, list[str]]:
    """The table of a provider in the page, by its row's first cell."""
    section = re.search(rf"<!-- {spec} -->\n(.*?)\n\n", page + "\n\n", re.DOTALL)
    assert section is not None, f"docs/send-faults.md has no table for {spec}"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section[1].splitlines()[2:]]
    return {row[0]: row[1:] for row in rows}
