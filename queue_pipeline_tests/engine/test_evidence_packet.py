import csv
import io
import subprocess
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from queue_pipeline.domain.errors import InvalidInput, NotFound
from queue_pipeline.domain.evidence_packet import EvidencePacket, checklist_of, digest
from queue_pipeline.domain.measurement import Measurement
from queue_pipeline.engine.evidence_facts import read
from queue_pipeline.engine.evidence_packet import gather, keep, load, problems
from queue_pipeline.integrations.embedded_data import binaries_for
from queue_pipeline.store.queries import names
from queue_pipeline.store.session import Database
from queue_pipeline_tests.architecture.source import ROOT
from queue_pipeline_tests.engine.rollout import HERE, Rollout, png


@pytest.fixture
def rollout(db: Database) -> Iterator[Rollout]:
    with db.direct() as connection:
        yield Rollout(db, connection)


def packet_of(db: Database) -> EvidencePacket:
    return gather(db, HERE, png)


def psql(db: Database, *arguments: str) -> list[dict[str, str]]:
    """What the embedded server's own psql prints."""
    program = binaries_for(ROOT / "nowhere") / "psql"
    done = subprocess.run(
        [str(program), "-X", "--csv", "-v", "ON_ERROR_STOP=1", *arguments, db.url],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return list(csv.DictReader(io.StringIO(done.stdout)))


def as_psql_prints(value: Any) -> str | float:
    """A value of a packet, comparable with what psql printed."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "t" if value else "f"
    return float(value) if isinstance(value, (int, float)) else str(value)


def test_every_number_is_what_psql_prints_for_the_file_and_parameters_that_it_names(
    db: Database, rollout: Rollout
) -> None:
    rollout.all_good()
    rollout.waiting("canary", 3, minutes=30)
    rollout.rolled_back()
    evidence = read(db, canary_id=None, limits=rollout_limits())
    asked: list[Measurement] = [*evidence.slo.measurements.values(), *evidence.others.values()]
    assert len(asked) == 15
    for measurement in asked:
        printed = psql(db, *measurement.arguments())
        assert len(printed) == len(measurement.rows), measurement.query
        for row, line in zip(measurement.rows, printed, strict=True):
            assert row.keys() == line.keys()
            for name, value in row.items():
                shown: str | float = line[name]
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    shown = float(shown)
                assert as_psql_prints(value) == shown, f"{measurement.query}: {name}"


def rollout_limits() -> Any:
    from queue_pipeline.domain.limits import Limits

    return Limits()


@pytest.mark.parametrize("name", names())
def test_every_query_of_the_pack_runs_with_plain_psql_as_it_stands(db: Database, rollout: Rollout, name: str) -> None:
    rollout.lanes()
    psql(db, "-f", f"queue_pipeline/queries/{name}.sql")


def test_the_commands_of_a_packet_run_as_they_are_printed(db: Database, rollout: Rollout) -> None:
    rollout.all_good()
    waits = next(each for each in packet_of(db).document["measurements"] if each["query"].endswith("window_waits.sql"))
    program = binaries_for(ROOT / "nowhere") / "psql"
    done = subprocess.run(
        ["sh", "-c", f'PATH="{program.parent}:$PATH"; PSQL_URL="{db.url}"; {waits["command"]}'],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "still_waiting" in done.stdout


def test_a_packet_comes_back_as_it_was_kept(db: Database, rollout: Rollout) -> None:
    rollout.all_good()
    packet = packet_of(db)
    keep(db, packet)
    again = keep(db, packet).packet
    assert again == load(db, packet.name).packet == load(db).packet
    assert problems(again) == []
    assert digest(again.document) == packet.sha256
    assert rollout.run("SELECT count(*) FROM evidence_packet") == 1


def test_a_packet_is_never_changed_and_one_that_was_all_the_same_is_found_out(db: Database, rollout: Rollout) -> None:
    kept = keep(db, packet_of(db))
    for change in ("verdict = 'GO'", "markdown = ''", "document = '{}'", "png = ''"):
        with pytest.raises(psycopg.errors.CheckViolation, match="append-only"):
            rollout.run(f"UPDATE evidence_packet SET {change}")
    rollout.run("ALTER TABLE evidence_packet DISABLE TRIGGER ALL")
    rollout.run("""UPDATE evidence_packet SET document = jsonb_set(document, '{verdict}', '"GO"')""")
    assert problems(load(db, kept.packet.sha256).packet) == [
        "its content has another hash",
        "its text does not say what its content says",
    ]


def test_a_packet_is_found_by_the_beginning_of_its_hash(db: Database, rollout: Rollout) -> None:
    with pytest.raises(NotFound, match="None was ever made"):
        load(db)
    with pytest.raises(InvalidInput, match="at least 6"):
        load(db, "abc")
    with pytest.raises(NotFound, match="No packet has this hash"):
        load(db, "abcdef")
    kept = keep(db, packet_of(db))
    assert load(db, kept.packet.sha256[:6].upper()).packet == kept.packet


SECRETS = ("ada.lovelace@example.com", "+44 20 7946 0123", "Ada", "my mother is ill", "grace@example.test")


def test_no_personal_data_gets_into_a_packet(db: Database, rollout: Rollout) -> None:
    rollout.all_good()
    address, phone, name, body, operator = SECRETS
    lead = rollout.run(
        "INSERT INTO lead (workspace, address, name, phone) VALUES ('team-1', %s, %s, %s) RETURNING lead_id",
        address,
        name,
        phone,
    )
    first = rollout.planted.sent(workspace="team-1", recipient=address, body=body, lead_id=lead)
    rollout.run("ALTER TABLE provider_message DISABLE TRIGGER ALL")
    rollout.planted.evidence(first, recipient=address)
    rollout.planted.message("UNKNOWN", recipient=address, body=body)
    rollout.planted.delivery(workspace="team-1", lead_address=address)
    rollout.rolled_back(f"{address} complained")
    rollout.run(
        "INSERT INTO canary_event (canary_id, from_state, to_state, who, why) VALUES (%s, 'COMPLETE', 'COMPLETE', %s, %s)",
        rollout.canary_id, operator, f"call {phone}",
    )  # fmt: skip
    rollout.run(
        "INSERT INTO control_event (flag, from_value, to_value, who, why) VALUES ('sends.enabled', 'on', 'off', %s, %s)",
        operator, f"asked by {address}",
    )  # fmt: skip
    packet = packet_of(db)
    assert packet.verdict == "NO-GO"
    content = str(packet.document) + packet.markdown
    assert [secret for secret in SECRETS if secret in content] == []
    assert [each for each in rollout.workspaces if each in content] == []


def test_the_samples_of_the_query_are_those_of_the_canarys_verdict(db: Database, rollout: Rollout) -> None:
    rollout.all_good()
    evidence = read(db, canary_id=rollout.canary_id, limits=rollout_limits())
    assert evidence.status is not None
    verdict = {item.name: item.value for item in evidence.status.verdict.items}
    row = evidence.slo.row("canary_window", "canary")
    assert verdict["samples"] == str(row["samples"]) == "60"
    assert verdict["started jobs"] == str(row["started_jobs"])
    assert verdict["queue age p95"] == f"{row['queue_age_p95_seconds']:.1f} s"
    assert row["missing"] == 0
    assert verdict["duplicate sends"] == str(row["duplicate_sends"])
    contention = evidence.slo.measurements["canary_contention"].one()
    assert verdict["contention"].startswith(
        f"{contention['deadlocks']} deadlocks, {contention['high']} of {contention['samples']}"
    )


def test_the_checklist_of_a_packet_names_a_query_that_exists_for_every_item(db: Database, rollout: Rollout) -> None:
    rollout.all_good()
    for item in checklist_of(packet_of(db).document):
        assert item.source.startswith("queue-pipeline ") or (ROOT / item.source).is_file(), item


def test_jobs_and_leads_of_workspaces_that_nobody_ever_served_count_too(db: Database, rollout: Rollout) -> None:
    """A lane is made when a job is first promoted; where nothing drains, there is none."""
    rollout.canary()
    for cohort, count in (("canary", 3), ("control", 2)):
        rollout.waiting(cohort, count, minutes=30)
        for _ in range(count):
            rollout.planted.delivery(workspace=rollout.one_of(cohort))
    slo = read(db, canary_id=None, limits=rollout_limits()).slo
    assert [slo.row("window_waits", cohort)["still_waiting"] for cohort in ("canary", "control")] == [3, 2]
    assert [slo.row("window_end_to_end", cohort)["nobody_told"] for cohort in ("canary", "control")] == [3, 2]
