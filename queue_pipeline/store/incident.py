"""Open incidents, what is still to be posted about them, and every message that reached a sink or may have."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from queue_pipeline.domain.alert_text import IncidentFacts
from queue_pipeline.domain.incident import Incident, IncidentKind, IncidentStatus, Severity
from queue_pipeline.store.session import Tx

#: Evaluations take turns. Whoever is stopped in the middle of one loses its session, and with it the lock.
TURN_SQL = """
SELECT set_config('idle_in_transaction_session_timeout', '5000', true), set_config('statement_timeout', '10000', true),
       pg_try_advisory_xact_lock(hashtext('queue_pipeline.alert'), hashtext(current_database())) AS is_ours
"""

CLOCK_SQL = "SELECT clock_timestamp() AS now, (SELECT evaluated_at FROM alert_mark) AS evaluated_at"

OPEN_SQL = """
SELECT incident_id, dedup_key, generation, kind, severity, status, opened_at, last_seen_at, healthy_since, fired_at,
       updated_at, next_repeat_at, posted_seq < wanted_seq AS waiting, evidence
FROM alert_incident WHERE status <> 'resolved' ORDER BY incident_id FOR UPDATE
"""

INSERT_SQL = """
INSERT INTO alert_incident (dedup_key, generation, kind, severity, status, opened_at, last_seen_at, fired_at, updated_at,
                            next_repeat_at, evidence, wanted_seq, next_post_at)
SELECT %(dedup_key)s, coalesce(max(generation), 0) + 1, %(kind)s, %(severity)s, %(status)s, %(opened_at)s, %(last_seen_at)s,
       %(fired_at)s, %(updated_at)s, %(next_repeat_at)s, %(evidence)s, %(tell)s::int, clock_timestamp()
FROM alert_incident WHERE dedup_key = %(dedup_key)s
ON CONFLICT DO NOTHING
RETURNING generation
"""

UPDATE_SQL = """
UPDATE alert_incident SET status = %(status)s, opened_at = %(opened_at)s, last_seen_at = %(last_seen_at)s,
    healthy_since = %(healthy_since)s, fired_at = %(fired_at)s, resolved_at = %(resolved_at)s, updated_at = %(updated_at)s,
    next_repeat_at = %(next_repeat_at)s, evidence = %(evidence)s, observations = observations + %(seen)s::int,
    wanted_seq = wanted_seq + %(tell)s::int,
    next_post_at = CASE WHEN %(tell)s AND posted_seq = wanted_seq THEN clock_timestamp() ELSE next_post_at END
WHERE incident_id = %(incident_id)s AND status <> 'resolved'
"""

MARK_SQL = """
INSERT INTO alert_mark (evaluated_at, evaluated_by) VALUES (clock_timestamp(), %(by)s)
ON CONFLICT (only_row) DO UPDATE SET evaluated_at = excluded.evaluated_at, evaluated_by = excluded.evaluated_by
"""

#: Due to be posted by this sink: something is wanted, nobody is at it, and the last failure is long enough ago. A
#: chat takes over what only a console was told; a console leaves to a chat what began there, unless nobody comes.
#: A time far in the future was written before the clock was set back and counts as past.
CLAIM_SQL = """
WITH due AS MATERIALIZED (
    SELECT i.incident_id, i.posting_by IS NOT NULL AS unresolved, CASE WHEN r.sink = %(sink)s THEN i.root_ts END AS root_ts
    FROM alert_incident i LEFT JOIN LATERAL (
        SELECT p.sink FROM alert_post p
        WHERE p.incident_id = i.incident_id AND p.what = 'root' AND p.outcome IN ('posted', 'adopted')
        ORDER BY p.alert_post_id DESC LIMIT 1) r ON true
    WHERE (i.posted_seq < i.wanted_seq OR (%(takes_over)s AND i.status = 'firing' AND r.sink = 'console'))
      AND (%(takes_over)s OR r.sink IS NULL OR r.sink = %(sink)s OR i.next_post_at < now() - interval '1 minute')
      AND (i.next_post_at IS NULL OR i.next_post_at <= now() OR i.next_post_at > now() + interval '20 minutes')
      AND (i.posting_until IS NULL OR i.posting_until < now() OR i.posting_until > now() + interval '10 minutes')
    ORDER BY i.next_post_at NULLS FIRST, i.incident_id LIMIT 1
    FOR UPDATE OF i SKIP LOCKED
)
UPDATE alert_incident i
SET posting_until = clock_timestamp() + make_interval(secs => %(lease)s),
    posting_by = format('%%s #%%s', %(by)s::text, nextval('fence_seq'))
FROM due WHERE i.incident_id = due.incident_id
RETURNING i.incident_id, i.dedup_key, i.generation, i.kind, i.severity, i.status, i.opened_at, i.fired_at, i.resolved_at,
    i.observations, i.evidence, i.wanted_seq AS seq, i.posting_by AS token, i.post_failures, due.root_ts, i.channel,
    i.next_repeat_at <= now() AS repeat_is_due, due.unresolved
"""

POSTED_SQL = """
UPDATE alert_incident SET posted_seq = greatest(posted_seq, %(seq)s), posting_until = NULL, posting_by = NULL, post_failures = 0,
    last_error = NULL, channel = coalesce(%(channel)s, channel), root_ts = coalesce(%(root_ts)s, root_ts),
    next_post_at = clock_timestamp(),
    next_repeat_at = CASE WHEN %(what)s IN ('root', 'repeat')
                          THEN clock_timestamp() + make_interval(secs => %(repeat_every)s) ELSE next_repeat_at END
WHERE incident_id = %(incident_id)s AND posting_by = %(token)s
"""

#: After an ambiguous post the mark of the one who tried stays, so that the next looks before posting.
FAILED_SQL = """
UPDATE alert_incident SET post_failures = post_failures + 1, last_error = %(error)s,
    next_post_at = clock_timestamp() + make_interval(secs => %(delay)s),
    posting_by = CASE WHEN %(unresolved)s THEN posting_by END,
    posting_until = NULL
WHERE incident_id = %(incident_id)s AND posting_by = %(token)s
"""

#: A failure that repeats itself is one row, as late as its last time.
RECORD_SQL = """
WITH same AS (
    UPDATE alert_post SET posted_at = clock_timestamp()
    WHERE alert_post_id = (SELECT max(alert_post_id) FROM alert_post WHERE incident_id = %(incident_id)s)
      AND seq = %(seq)s AND what = %(what)s AND outcome = %(outcome)s AND sink = %(sink)s AND error IS NOT DISTINCT FROM %(error)s
      AND outcome NOT IN ('posted', 'adopted')
    RETURNING 1
)
INSERT INTO alert_post (incident_id, seq, what, sink, outcome, ts, error)
SELECT %(incident_id)s, %(seq)s, %(what)s, %(sink)s, %(outcome)s, %(ts)s, %(error)s WHERE NOT EXISTS (SELECT FROM same)
"""

LATEST_SQL = """
SELECT i.incident_id, i.dedup_key, i.generation, i.kind, i.severity, i.status, i.opened_at, i.fired_at, i.last_seen_at,
       i.healthy_since, i.resolved_at, i.observations, i.evidence, i.wanted_seq, i.posted_seq, i.post_failures, i.last_error,
       p.sink, p.posted_at AS last_posted_at
FROM alert_incident i LEFT JOIN LATERAL (
    SELECT sink, posted_at FROM alert_post WHERE incident_id = i.incident_id AND outcome IN ('posted', 'adopted')
    ORDER BY alert_post_id DESC LIMIT 1) p ON true
ORDER BY i.status = 'resolved', i.incident_id DESC LIMIT %(limit)s
"""


@dataclass(frozen=True)
class OpenIncident:
    """An open incident: its identity, and what the rules look at."""

    incident_id: int
    dedup_key: str
    generation: int
    incident: Incident
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class DuePost:
    """An incident claimed for posting.

    `unresolved` says that an earlier post was tried of which nobody knows whether it arrived. `root_ts` is the root
    message in this very sink, if there is one.
    """

    facts: IncidentFacts
    seq: int
    token: str
    failures: int
    root_ts: str | None
    channel: str | None
    repeat_is_due: bool
    unresolved: bool


@dataclass(frozen=True)
class ListedIncident:
    """An incident as people see it in a list."""

    incident_id: int
    dedup_key: str
    generation: int
    kind: str
    severity: str
    status: str
    opened_at: datetime
    fired_at: datetime | None
    last_seen_at: datetime
    healthy_since: datetime | None
    resolved_at: datetime | None
    observations: int
    evidence: Mapping[str, Any]
    wanted_seq: int
    posted_seq: int
    post_failures: int
    last_error: str | None
    sink: str | None
    last_posted_at: datetime | None

    @property
    def is_told(self) -> bool:
        """Whether the sink shows everything that it should."""
        return self.posted_seq >= self.wanted_seq


def take_turn(tx: Tx) -> bool:
    """Whether this transaction may evaluate; another one does when not. It must end within seconds."""
    return bool(tx.exec_driver_sql(TURN_SQL).mappings().one()["is_ours"])


def clock(tx: Tx) -> tuple[datetime, datetime | None]:
    """The database's clock, and when alerts were last evaluated."""
    row = tx.exec_driver_sql(CLOCK_SQL).mappings().one()
    return row["now"], row["evaluated_at"]


def open_incidents(tx: Tx) -> list[OpenIncident]:
    """The incidents that are not resolved, locked."""
    found = []
    for row in tx.exec_driver_sql(OPEN_SQL).mappings():
        incident = Incident(
            status=IncidentStatus(row["status"]),
            opened_at=row["opened_at"],
            last_seen_at=row["last_seen_at"],
            healthy_since=row["healthy_since"],
            fired_at=row["fired_at"],
            updated_at=row["updated_at"],
            next_repeat_at=row["next_repeat_at"],
            material=str(row["evidence"].get("material", "")),
            waiting=row["waiting"],
        )
        found.append(OpenIncident(row["incident_id"], row["dedup_key"], row["generation"], incident, row["evidence"]))
    return found


def insert(
    tx: Tx, *, dedup_key: str, kind: str, severity: str, incident: Incident, evidence: Mapping[str, Any], tell: bool
) -> int | None:
    """Open the next generation of an incident; gives its number, None when somebody opened it meanwhile."""
    values = {**_times(incident), "dedup_key": dedup_key, "kind": kind, "severity": severity, "tell": tell}
    values["evidence"] = Jsonb({**evidence, "material": incident.material})
    generation = tx.exec_driver_sql(INSERT_SQL, values).scalar_one_or_none()
    return None if generation is None else int(generation)


def update(
    tx: Tx, incident_id: int, *, incident: Incident, evidence: Mapping[str, Any], seen: bool, tell: bool
) -> None:
    """Write down what an evaluation made of an incident; `seen` says that it was still wrong."""
    values = {**_times(incident), "incident_id": incident_id, "seen": seen, "tell": tell}
    values["evidence"] = Jsonb({**evidence, "material": incident.material})
    tx.exec_driver_sql(UPDATE_SQL, values)


def mark(tx: Tx, *, by: str) -> None:
    """Note that alerts were evaluated."""
    tx.exec_driver_sql(MARK_SQL, {"by": by})


def claim_post(tx: Tx, *, sink: str, takes_over: bool, by: str, lease_seconds: float) -> DuePost | None:
    """Take the incident that has waited longest to be posted; None when none is due."""
    values = {"sink": sink, "takes_over": takes_over, "by": by, "lease": lease_seconds}
    row = tx.exec_driver_sql(CLAIM_SQL, values).mappings().one_or_none()
    if row is None:
        return None
    names = (
        "incident_id",
        "dedup_key",
        "generation",
        "opened_at",
        "fired_at",
        "resolved_at",
        "observations",
        "evidence",
    )
    facts = IncidentFacts(
        **{name: row[name] for name in names},
        kind=IncidentKind(row["kind"]),
        severity=Severity(row["severity"]),
        status=IncidentStatus(row["status"]),
    )
    return DuePost(
        facts=facts,
        seq=row["seq"],
        token=row["token"],
        failures=row["post_failures"],
        root_ts=row["root_ts"],
        channel=row["channel"],
        repeat_is_due=bool(row["repeat_is_due"]),
        unresolved=row["unresolved"],
    )


def posted(
    tx: Tx,
    due: DuePost,
    *,
    what: str,
    seq: int,
    repeat_every: float,
    channel: str | None = None,
    root_ts: str | None = None,
) -> bool:
    """Note that an incident is shown up to `seq`; False when somebody else took it over meanwhile."""
    values = {
        "incident_id": due.facts.incident_id,
        "token": due.token,
        "seq": seq,
        "what": what,
        "repeat_every": repeat_every,
        "channel": channel,
        "root_ts": root_ts,
    }
    return tx.exec_driver_sql(POSTED_SQL, values).rowcount > 0


def post_failed(tx: Tx, due: DuePost, *, error: str, delay: float, unresolved: bool) -> None:
    """Note why an incident could not be posted, and when to try again."""
    values = {
        "incident_id": due.facts.incident_id,
        "token": due.token,
        "error": error,
        "delay": delay,
        "unresolved": unresolved,
    }
    tx.exec_driver_sql(FAILED_SQL, values)


def record_post(
    tx: Tx, due: DuePost, *, what: str, sink: str, outcome: str, ts: str | None = None, error: str | None = None
) -> bool:
    """Keep one message of an incident, or one try; False when it failed just as the try before."""
    values = {
        "incident_id": due.facts.incident_id,
        "seq": due.seq,
        "what": what,
        "sink": sink,
        "outcome": outcome,
        "ts": ts,
        "error": error,
    }
    return tx.exec_driver_sql(RECORD_SQL, values).rowcount > 0


def latest(tx: Tx, *, limit: int) -> Sequence[ListedIncident]:
    """Open incidents first, then the latest resolved ones."""
    return [ListedIncident(**row) for row in tx.exec_driver_sql(LATEST_SQL, {"limit": limit}).mappings()]


def _times(incident: Incident) -> dict[str, Any]:
    return {
        "status": incident.status.value,
        "opened_at": incident.opened_at,
        "last_seen_at": incident.last_seen_at,
        "healthy_since": incident.healthy_since,
        "fired_at": incident.fired_at,
        "resolved_at": incident.resolved_at,
        "updated_at": incident.updated_at,
        "next_repeat_at": incident.next_repeat_at,
    }
