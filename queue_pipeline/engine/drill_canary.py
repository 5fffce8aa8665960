"""Stage a canary that fails, with a real drain, and watch the rules turn it back: one rollback, one alert."""

from collections.abc import Callable
from dataclasses import dataclass, field

from queue_pipeline.domain.canary import ENDED, CanaryContract, CanaryPlan, CanaryState
from queue_pipeline.domain.drill import WORKSPACE
from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.flag import DRAIN_PARALLEL, ENFORCE, OFF, ON, ROLLBACK_MODE
from queue_pipeline.domain.incident import IncidentKind
from queue_pipeline.engine import alert, canary, flags
from queue_pipeline.engine.canary import CanaryStatus
from queue_pipeline.engine.drill_stage import DrillFailed, Stage, StartDrain
from queue_pipeline.engine.teller import Teller
from queue_pipeline.store.session import Database

JOBS = 40
_CONTRACT = CanaryContract(warm_up_seconds=5, window_seconds=300, samples_min=5, started_min=10)
_WHO = "drill"
_SHOWN_MAX = 100


@dataclass
class CanaryDrillReport:
    """What came of it: the rule that turned the canary back and its reason, and how many alerts that was."""

    canary_id: int = 0
    state: str = ""
    rule: str = ""
    why: str = ""
    seconds_to_roll_back: float = 0.0
    alerts: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether the expected rule turned it back, and one alert says so."""
        return (self.state, self.rule, len(self.alerts)) == (CanaryState.ROLLED_BACK, "failure_rate", 1)


class CanaryDrill:
    """One drill, in the drill's own workspace. The canary with its samples, its rollback and its incident stay."""

    def __init__(
        self,
        db: Database,
        *,
        shards: int,
        start_drain: StartDrain,
        tell: Callable[[float, str], None],
        teller: Teller,
    ) -> None:
        self._db = db
        self._shards = shards
        self._start_drain = start_drain
        self._tell = tell
        self._teller = teller

    def run(self) -> CanaryDrillReport:
        """Stage it. Raises InvalidInput if another canary is under way or nothing would be turned back, DrillFailed."""
        candidate = self._candidate()
        plan = CanaryPlan({DRAIN_PARALLEL: candidate}, 0.0, (WORKSPACE,), _CONTRACT)
        begun = canary.start(self._db, plan, who=_WHO, why="a drill: it is going to fail")
        try:
            return self._watch(begun.canary_id, candidate)
        finally:
            self._end(begun.canary_id)

    def _candidate(self) -> str:
        """The other value of a flag that matters for no more than the drill's own jobs."""
        with self._db.begin() as tx:
            mode, parallel = flags.value(tx, ROLLBACK_MODE), flags.value(tx, DRAIN_PARALLEL)
        if mode != ENFORCE:
            raise InvalidInput(ROLLBACK_MODE, mode, f"Nothing would be turned back; set it to {ENFORCE} for the drill.")
        return OFF if parallel == ON else ON

    def _watch(self, canary_id: int, candidate: str) -> CanaryDrillReport:
        stage = Stage(self._db, shards=self._shards, start_drain=self._start_drain, tell=self._tell)
        try:
            stage.say(
                f"1. Canary {canary_id} gives workspace “{WORKSPACE}”, and no other, {DRAIN_PARALLEL}={candidate}."
            )
            for sentence in _CONTRACT.shortened():
                stage.say(f"   Shorter than the contract: {sentence}.")
            stage.until(lambda: self._looked(canary_id).canary.watching_since, "the warm-up to end")
            stage.say("   Its warm-up is over: from now on the rules act.")
            stage.say(f"2. {JOBS} jobs of that workspace run, and every second one fails for good.")
            stage.drain()
            stage.enqueue("drill.fail", [{"fails": number % 2 == 0} for number in range(JOBS)])
            stage.until(lambda: self._is_over(canary_id), "a rule to turn the canary back")
            return self._told(stage, canary_id)
        finally:
            stage.stop_drains()
            stage.clean_up()

    def _told(self, stage: Stage, canary_id: int) -> CanaryDrillReport:
        status = self._status(canary_id)
        report = CanaryDrillReport(canary_id, status.canary.state)
        done = next((each for each in status.rollbacks if each.mode == ENFORCE), None)
        if done is None or status.canary.watching_since is None:
            raise DrillFailed(f"Canary {canary_id} is {status.canary.state}, and no rule turned it back.")
        report.rule, report.why = done.rule, done.why
        report.seconds_to_roll_back = round((done.decided_at - status.canary.watching_since).total_seconds(), 1)
        stage.say(f"   Rule {done.rule} turned it back {report.seconds_to_roll_back} s into its window: {done.why}.")
        stage.say(f"   The candidate is gone; workspace “{WORKSPACE}” has the value of all others again.")
        stage.until(lambda: self._alerts(done.rollback_id), "the alert about it")
        report.alerts = self._alerts(done.rollback_id)
        stage.say(f"3. It was told {'once' if len(report.alerts) == 1 else f'{len(report.alerts)} times'}:")
        for headline in report.alerts:
            stage.say(f"   {headline}.")
        canary.acknowledge(self._db, who=_WHO, why="it was a drill")
        stage.say(
            "   The drill takes note of it (`canary acknowledge`), so that the alert ends after 5 minutes of health."
        )
        stage.say("   `canary undo` would take back a flag that a rollback flipped; this one had none to flip.")
        stage.say(
            f"Look at it: `queue-pipeline canary status --canary {canary_id}`, `queue-pipeline alerts`, and the asset"
            " canary_samples."
        )
        return report

    def _looked(self, canary_id: int) -> CanaryStatus:
        """The canary after a look by this process; others may look too."""
        self._teller.turn(by="drill")
        return self._status(canary_id)

    def _status(self, canary_id: int) -> CanaryStatus:
        status = canary.status(self._db, canary_id=canary_id)
        assert status is not None
        return status

    def _is_over(self, canary_id: int) -> bool:
        return self._looked(canary_id).canary.state in ENDED

    def _alerts(self, rollback_id: int) -> list[str]:
        """What was told about this rollback."""
        self._teller.turn(by="drill")
        found = alert.listed(self._db, limit=_SHOWN_MAX)
        return [
            str(each.evidence["headline"])
            for each in found
            if each.kind == IncidentKind.ROLLBACK and each.evidence["numbers"].get("rollback_id") == rollback_id
        ]

    def _end(self, canary_id: int) -> None:
        """A canary that nobody turned back does not outlive its drill."""
        if self._status(canary_id).canary.state not in ENDED:
            canary.abort(self._db, who=_WHO, why="the drill is over")
