"""Claim due jobs fairly, and write down how their attempts ended; both only with the right fence.

Lock order, the same everywhere: function run, then lanes, then jobs. Claims never wait for a lane or a job
(SKIP LOCKED); jobs are locked in the order of their ids.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg

from queue_pipeline.domain.claim import AttemptResult, Claim
from queue_pipeline.store.lane import promote_sql, wake_lanes_sql
from queue_pipeline.store.session import Direct, outages_translated

#: No cap beside the lane's quota: the largest integer.
NO_CAP = 2_147_483_647
#: Below every virtual time.
LOWEST = -(2**63)

#: Recovery takes this row FOR UPDATE first, so a claim and the recovery of its run never interleave.
HOLD_FUNCTION_RUN_SQL = """
SELECT 1 FROM function_run
WHERE function_run_id = %(function_run_id)s AND fence = %(run_fence)s AND state = 'RUNNING'
FOR KEY SHARE
"""

#: How many jobs of a lane may run at once: its quota, or less by the rule for the canary's workspaces or for all others.
_CAP = """least(l.quota, CASE WHEN l.canary_bucket < %(canary_below)s::int OR l.workspace = ANY (%(canary_allow)s::text[])
    THEN %(at_once_in_canary)s::int ELSE %(at_once)s::int END)"""

#: The order of a lane's jobs: a step of priority is worth half a minute of waiting. The index holds this very expression.
RANK = "(j.run_at - '2000-01-01 00:00:00+00'::timestamptz) + j.priority::float8 * '30 seconds'::interval"

#: Each claim leaves an old version of the lanes that it served behind, at their old virtual times. While some long
#: transaction keeps them from being removed, a claim that began at the lowest virtual time would read them all: it
#: begins at `floor`, below which no lane was ready before. One may be woken there all the same; a claim now and then
#: begins at the bottom, and finds it.
#:
#: Lanes with room, lowest virtual time first; of each its next jobs; the whole ordered by virtual finish time.
#: A lane at its cap is passed over. In-flight jobs are counted from RUNNING rows, never from a counter: roughly where
#: lanes are chosen, and once more by a function with a snapshot of its own when they are locked, which makes the quota
#: exact: the jobs that another claim took in between are still candidates, and fall away when they are locked. All claimed jobs together are counted without a lock, so that claims at the same instant may exceed the
#: global cap by what they take. Jobs of a paused kind are parked instead of claimed.
CLAIM_SQL = f"""
WITH living AS MATERIALIZED (
    SELECT 1 FROM function_run
    WHERE function_run_id = %(function_run_id)s AND fence = %(run_fence)s AND state = 'RUNNING' AND stop_requested_at IS NULL
), crowd AS MATERIALIZED (
    SELECT CASE WHEN %(in_flight_max)s::int = {NO_CAP} THEN %(size)s::bigint ELSE %(in_flight_max)s::int - (
        SELECT count(*) FROM (SELECT FROM job r WHERE r.state = 'RUNNING' LIMIT %(in_flight_max)s::int) r) END AS room
), lanes AS MATERIALIZED (
    SELECT l.workspace, l.vtime, l.weight, {_CAP} AS cap, flight.jobs AS seen
    FROM workspace_lane l
    CROSS JOIN LATERAL (SELECT count(*) AS jobs FROM job r WHERE r.workspace = l.workspace AND r.state = 'RUNNING') flight
    WHERE l.shard = %(shard)s AND l.ready AND l.vtime >= %(floor)s::bigint AND {_CAP} > flight.jobs
      AND EXISTS (SELECT FROM living)
      AND (SELECT room FROM crowd) > 0
    ORDER BY l.vtime, l.workspace
    LIMIT %(size)s
    FOR UPDATE OF l SKIP LOCKED
), candidates AS (
    SELECT l.vtime + c.place * (1000000 / l.weight) AS finish, l.workspace, c.place, c.job_id, l.cap - flight.jobs AS room
    FROM lanes l
    JOIN jobs_in_flight(ARRAY(SELECT workspace FROM lanes)) flight USING (workspace)
    CROSS JOIN LATERAL (
        SELECT j.job_id, row_number() OVER (ORDER BY {RANK}, j.job_id) AS place
        FROM job j
        WHERE j.workspace = l.workspace AND j.state = 'PENDING'
        ORDER BY {RANK}, j.job_id
        LIMIT greatest(0, least(l.cap - least(l.seen, flight.jobs), %(size)s))
    ) c
), picked AS (
    SELECT job_id, workspace, place, room FROM candidates ORDER BY finish, workspace, place LIMIT least(%(size)s, (SELECT room FROM crowd))
), locked AS MATERIALIZED (
    SELECT j.job_id, j.kind = ANY (%(paused_kinds)s::text[]) AS is_paused FROM job j
    WHERE j.job_id = ANY (ARRAY(SELECT job_id FROM picked)) AND j.state = 'PENDING'
    ORDER BY j.job_id
    FOR UPDATE SKIP LOCKED
), allowed AS MATERIALIZED (
    SELECT job_id, is_paused FROM (
        SELECT k.job_id, k.is_paused, p.room, row_number() OVER (PARTITION BY p.workspace ORDER BY p.place) AS nth
        FROM locked k JOIN picked p USING (job_id)
    ) k WHERE nth <= room
), claimed AS (
    UPDATE job j
    SET state = 'RUNNING', attempt = j.attempt + 1, fence = nextval('fence_seq'), function_run_id = %(function_run_id)s,
        claimed_at = now(), deadline_at = now() + make_interval(secs => j.deadline_seconds)
    WHERE j.job_id = ANY (ARRAY(SELECT job_id FROM allowed WHERE NOT is_paused))
    RETURNING j.job_id, j.fence, j.kind, j.workspace, j.payload::text, j.attempt, j.max_attempts, j.deadline_seconds,
              j.claimed_at, j.deadline_at, j.run_at, j.first_due_at, j.priority
), parked AS (
    UPDATE job j SET state = 'SCHEDULED', parked = true
    WHERE j.job_id = ANY (ARRAY(SELECT job_id FROM allowed WHERE is_paused))
    RETURNING 1
), served AS (
    UPDATE workspace_lane l SET vtime = l.vtime + s.jobs * (1000000 / l.weight), served_at = clock_timestamp()
    FROM (SELECT workspace, count(*) AS jobs FROM claimed GROUP BY workspace) s
    WHERE l.workspace = s.workspace
)
SELECT seen.lanes,
       seen.lanes > 0 OR EXISTS (SELECT FROM workspace_lane l WHERE l.shard = %(shard)s AND l.ready AND l.quota > 0),
       seen.lanes > 0 OR (SELECT room FROM crowd) > 0 AND EXISTS (
           SELECT FROM workspace_lane l WHERE l.shard = %(shard)s AND l.ready AND {_CAP} > (
               SELECT count(*) FROM job r WHERE r.workspace = l.workspace AND r.state = 'RUNNING')),
       (SELECT count(*) FROM parked),
       (SELECT min(l.vtime) FROM workspace_lane l WHERE l.shard = %(shard)s AND l.ready AND l.vtime >= %(floor)s::bigint),
       c.job_id, c.fence, c.kind, c.workspace, c.payload, c.attempt, c.max_attempts, c.deadline_seconds,
       c.claimed_at, c.deadline_at, c.run_at, c.first_due_at
FROM (SELECT count(*) AS lanes FROM lanes) seen LEFT JOIN claimed c ON true
ORDER BY {RANK.replace("j.", "c.")}, c.job_id
"""

#: Ends attempts: moves each job on and appends its attempt, only where job, fence and RUNNING still agree.
#: A job that was asked to be cancelled is not run again.
SETTLE_SQL = """
WITH ended AS (
    SELECT * FROM unnest(
        %(job_ids)s::bigint[], %(fences)s::bigint[], %(outcomes)s::text[], %(next_states)s::text[], %(frees)s::boolean[],
        %(delays)s::float8[], %(untils)s::timestamptz[], %(starts)s::float8[], %(error_classes)s::text[], %(errors)s::text[],
        %(steps)s::text[], %(progresses)s::text[], %(stacks)s::text[])
    AS e(job_id, fence, outcome, next_state, free, delay_seconds, until, started_after, error_class, error, step, progress, stack)
), held AS MATERIALIZED (
    SELECT e.*, j.attempt, j.claimed_at, j.run_at AS due_at, j.function_run_id, j.workspace,
           CASE WHEN j.cancel_requested_at IS NOT NULL AND e.next_state IN ('SCHEDULED', 'PENDING') THEN 'CANCELLED'
                ELSE e.next_state END AS target
    FROM ended e JOIN job j ON j.job_id = e.job_id AND j.fence = e.fence AND j.state = 'RUNNING'
    ORDER BY j.job_id
    FOR UPDATE OF j
), moved AS (
    UPDATE job j
    SET state = h.target,
        attempt = j.attempt - CASE WHEN h.free THEN 1 ELSE 0 END,
        run_at = CASE WHEN h.target <> 'SCHEDULED' THEN j.run_at
                      WHEN h.until IS NOT NULL THEN greatest(h.until, clock_timestamp())
                      ELSE clock_timestamp() + make_interval(secs => coalesce(h.delay_seconds, 0)) END,
        first_due_at = CASE WHEN h.outcome <> 'SNOOZED' THEN j.first_due_at
                            WHEN h.until IS NOT NULL THEN greatest(h.until, clock_timestamp())
                            ELSE clock_timestamp() + make_interval(secs => coalesce(h.delay_seconds, 0)) END,
        finished_at = CASE WHEN h.target IN ('SUCCEEDED', 'DEAD', 'CANCELLED') THEN clock_timestamp() END,
        dedupe_held = j.dedupe_held AND (h.target NOT IN ('SUCCEEDED', 'DEAD', 'CANCELLED')
                                         OR j.dedupe_until > clock_timestamp()) IS TRUE,
        last_error = coalesce(h.error, j.last_error),
        fence = NULL, function_run_id = NULL, claimed_at = NULL, deadline_at = NULL
    FROM held h
    WHERE j.job_id = h.job_id
), recorded AS (
    INSERT INTO job_attempt (job_id, attempt, fence, function_run_id, due_at, claimed_at, started_at, finished_at,
                             outcome, error_class, error, step, progress, stack)
    SELECT job_id, attempt, fence, function_run_id, due_at, claimed_at,
           claimed_at + make_interval(secs => started_after), clock_timestamp(),
           outcome, error_class, error, step, progress, stack
    FROM held
), unsampled AS (
    DELETE FROM handler_sample s USING held h WHERE s.job_id = h.job_id AND s.fence = h.fence
), woken AS (
    INSERT INTO lane_wake (workspace) SELECT DISTINCT workspace FROM held WHERE target = 'PENDING'
)
SELECT job_id, fence, target FROM held
"""

#: The common case, with nothing to say but success: half the work of SETTLE_SQL.
SETTLE_SUCCESS_SQL = """
WITH moved AS (
    UPDATE job j
    SET state = 'SUCCEEDED', finished_at = clock_timestamp(),
        dedupe_held = j.dedupe_held AND (j.dedupe_until > clock_timestamp()) IS TRUE,
        fence = NULL, function_run_id = NULL, claimed_at = NULL, deadline_at = NULL
    FROM unnest(%(job_ids)s::bigint[], %(fences)s::bigint[], %(starts)s::float8[]) AS e(job_id, fence, started_after)
    JOIN job held USING (job_id)
    WHERE j.job_id = e.job_id AND j.fence = e.fence AND j.state = 'RUNNING'
    RETURNING j.job_id, e.fence, j.attempt, held.function_run_id, held.run_at, held.claimed_at,
              held.claimed_at + make_interval(secs => e.started_after) AS started_at
), recorded AS (
    INSERT INTO job_attempt (job_id, attempt, fence, function_run_id, due_at, claimed_at, started_at, finished_at, outcome)
    SELECT job_id, attempt, fence, function_run_id, run_at, claimed_at, started_at, clock_timestamp(), 'SUCCEEDED' FROM moved
)
SELECT job_id, fence, 'SUCCEEDED' FROM moved
"""

#: After a lost connection: was this attempt's end already written by us?
SETTLED_BEFORE_SQL = (
    "SELECT job_id, fence FROM job_attempt WHERE (job_id, fence) IN (SELECT * FROM unnest(%s::bigint[], %s::bigint[]))"
)

HELD_BY_RUN_SQL = "SELECT job_id, fence FROM job WHERE function_run_id = %s AND state = 'RUNNING'"

REFUSED_SQL = """
WITH late AS (
    INSERT INTO late_write (job_id, fence, function_run_id, wanted)
    SELECT job_id, fence, %(function_run_id)s, wanted
    FROM unnest(%(job_ids)s::bigint[], %(fences)s::bigint[], %(wanted)s::text[]) AS l(job_id, fence, wanted)
    RETURNING 1
)
UPDATE function_run SET late_writes_refused = late_writes_refused + (SELECT count(*) FROM late)
WHERE function_run_id = %(function_run_id)s
"""


@dataclass(frozen=True)
class Claimant:
    """Who claims: a function run with its fence, for one shard."""

    function_run_id: int
    fence: int
    shard: str


@dataclass(frozen=True)
class LaneRule:
    """What claims obey beside the lanes' own quotas.

    `at_once` bounds the running jobs of one workspace, in the canary and elsewhere; a workspace is in the canary when
    its bucket is below `canary_below`, or when it is listed. `in_flight_max` bounds all claimed jobs together. Jobs of
    `paused_kinds` are parked.
    """

    at_once: int = NO_CAP
    at_once_in_canary: int = NO_CAP
    canary_below: int = 0
    canary_allow: Sequence[str] = ()
    in_flight_max: int = NO_CAP
    paused_kinds: Sequence[str] = ()

    def parameters(self) -> dict[str, Any]:
        """As the claim takes them."""
        return {
            "at_once": self.at_once,
            "at_once_in_canary": self.at_once_in_canary,
            "canary_below": self.canary_below,
            "canary_allow": list(self.canary_allow),
            "in_flight_max": self.in_flight_max,
            "paused_kinds": list(self.paused_kinds),
        }


@dataclass
class Exchange:
    """What one transaction of a drain brought.

    `lanes_seen` is how many lanes the claim could lock, `lanes_ready` whether any lane of the shard is ready at all,
    and `lanes_open` whether one of those has room: open ones that were not seen are held by another drain just now.
    `parked` jobs were met whose kind is paused. No ready lane that was looked at has a virtual time below `floor`.
    """

    living: bool = True
    claims: list[Claim] = field(default_factory=list)
    settled: dict[tuple[int, int], str] = field(default_factory=dict)
    lanes_seen: int = 0
    lanes_ready: bool = False
    lanes_open: bool = False
    parked: int = 0
    floor: int = LOWEST


#: Nothing but the lanes' own quotas.
NO_RULE = LaneRule()


def prepare(connection: Direct) -> None:
    """Plan each statement once on this connection: planning a claim takes longer than making it.

    The plan may be made while the queue is empty and must still be right when 100,000 jobs arrive at once: reading
    a whole table is ruled out (a claim then took 600 ms instead of 2), and so is collecting what an index holds before
    looking at it in order: of a thousand ready lanes twenty are wanted.
    """
    with outages_translated():
        connection.execute("SET plan_cache_mode = force_generic_plan")
        connection.execute("SET enable_seqscan = off")
        connection.execute("SET enable_bitmapscan = off")


def exchange(
    connection: Direct,
    claimant: Claimant,
    *,
    results: Sequence[AttemptResult],
    size: int,
    wake_limit: int,
    promote_limit: int,
    shards: int,
    rule: LaneRule = NO_RULE,
    floor: int = LOWEST,
) -> Exchange:
    """In one transaction and one round trip: make lanes ready, end attempts, claim up to `size` jobs.

    `wake_limit` and `promote_limit` of 0 skip those steps; `rule` caps the lanes, and lanes below the virtual time
    `floor` are not looked at. Raises DatabaseUnavailable; the caller then does not know whether the transaction was
    committed.
    """
    who = {"function_run_id": claimant.function_run_id, "run_fence": claimant.fence, "shard": claimant.shard}
    with outages_translated():
        with connection.pipeline(), connection.transaction():
            held = connection.execute(HOLD_FUNCTION_RUN_SQL, who)
            if promote_limit:
                connection.execute(promote_sql(), {"limit": promote_limit})
            if wake_limit:
                connection.execute(wake_lanes_sql(), {"limit": wake_limit, "shard": claimant.shard, "shards": shards})
            ended = [connection.execute(sql, values) for sql, values in _settlements(results)]
            values = {**who, **rule.parameters(), "size": size, "floor": floor}
            claimed = connection.execute(CLAIM_SQL, values) if size else None
        brought = Exchange(living=held.fetchone() is not None)
        for cursor in ended:
            brought.settled.update({(job_id, fence): state for job_id, fence, state in cursor.fetchall()})
        if claimed is not None:
            _read_claims(claimed, brought)
        return brought


def settled_before(connection: Direct, results: Sequence[AttemptResult]) -> set[tuple[int, int]]:
    """Which of these attempts already have their end on record."""
    with outages_translated():
        rows = connection.execute(SETTLED_BEFORE_SQL, ([r.job_id for r in results], [r.fence for r in results]))
        return {(job_id, fence) for job_id, fence in rows.fetchall()}


def held_by(connection: Direct, function_run_id: int) -> set[tuple[int, int]]:
    """The (job_id, fence) of every job that this function run holds, according to the database."""
    with outages_translated():
        return {(job_id, fence) for job_id, fence in connection.execute(HELD_BY_RUN_SQL, (function_run_id,)).fetchall()}


def record_refused(connection: Direct, function_run_id: int, refused: Sequence[AttemptResult]) -> None:
    """Put late writes on record and count them on the function run that made them."""
    with outages_translated():
        connection.execute(
            REFUSED_SQL,
            {
                "function_run_id": function_run_id,
                "job_ids": [r.job_id for r in refused],
                "fences": [r.fence for r in refused],
                "wanted": [r.outcome.value for r in refused],
            },
        )


def _settlements(results: Sequence[AttemptResult]) -> list[tuple[str, dict[str, Any]]]:
    plain = [
        r for r in results if r.outcome == "SUCCEEDED" and r.stack is None and r.progress is None and r.step is None
    ]
    rest = [
        r
        for r in results
        if not (r.outcome == "SUCCEEDED" and r.stack is None and r.progress is None and r.step is None)
    ]
    statements: list[tuple[str, dict[str, Any]]] = []
    if plain:
        columns = {
            "job_ids": [r.job_id for r in plain],
            "fences": [r.fence for r in plain],
            "starts": [r.started_after_seconds for r in plain],
        }
        statements.append((SETTLE_SUCCESS_SQL, columns))
    if rest:
        statements.append((SETTLE_SQL, _columns(rest)))
    return statements


def _columns(results: Sequence[AttemptResult]) -> dict[str, Any]:
    return {
        "job_ids": [r.job_id for r in results],
        "fences": [r.fence for r in results],
        "outcomes": [r.outcome.value for r in results],
        "next_states": [r.next_state.value for r in results],
        "frees": [r.free for r in results],
        "delays": [r.delay_seconds for r in results],
        "untils": [r.until for r in results],
        "starts": [r.started_after_seconds for r in results],
        "error_classes": [r.error_class for r in results],
        "errors": [r.error for r in results],
        "steps": [r.step for r in results],
        "progresses": [r.progress for r in results],
        "stacks": [r.stack for r in results],
    }


def _read_claims(cursor: psycopg.Cursor[Any], brought: Exchange) -> None:
    for row in cursor.fetchall():
        brought.lanes_seen, brought.lanes_ready, brought.lanes_open, brought.parked = row[:4]
        brought.floor = LOWEST if row[4] is None else row[4]
        if row[5] is not None:
            brought.claims.append(Claim(*row[5:]))
