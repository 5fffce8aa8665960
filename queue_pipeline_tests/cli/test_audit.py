import pytest

from queue_pipeline_tests.cli.conftest import Command
from queue_pipeline_tests.engine.audit_plants import alike_to_one_address, same_key_by_link
from queue_pipeline_tests.engine.planted import Planted


def test_a_clean_period_exits_with_0(run: Command, planted: Planted) -> None:
    planted.sent()
    ran = run("audit", "sends")
    assert ran.code == 0
    assert "D1" in ran.out
    assert "structural" in ran.out
    assert "PASS" in ran.err


def test_a_duplicate_exits_with_1_and_is_listed(run: Command, planted: Planted) -> None:
    ((message,), evidence) = same_key_by_link(planted)
    ran = run("audit", "sends")
    assert ran.code == 1
    assert all(identity in ran.out for identity in evidence)
    assert f"{message}#2 (epoch 2)" in ran.out
    assert "dagster-" in ran.out
    assert "@" not in ran.out


def test_nothing_to_examine_exits_with_2(run: Command) -> None:
    assert run("audit", "sends").code == 2
    ran = run("audit", "sends", "--json")
    assert (ran.code, ran.data["verdict"]) == (2, "inconclusive")
    assert {key["verdict"] for key in ran.data["legacy_keys"]} == {"structural"}


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--day", "soon"], "--day"),
        (["--day", "2199-01-01"], "not begun"),
        (["--since", "soon"], "--since"),
        (["--since", "2026-11-09T10:00:00"], "offset"),
        (["--day", "today", "--since", "2026-11-09T10:00:00Z"], "either"),
        (["--until", "yesterday"], "--until"),
    ],
)
def test_a_period_that_makes_no_sense_exits_with_3(run: Command, arguments: list[str], named: str) -> None:
    ran = run("audit", "sends", *arguments)
    assert ran.code == 3
    assert named in ran.err


@pytest.mark.parametrize("day", ["today", "yesterday", "2026-11-09"])
def test_a_day_can_be_named(run: Command, day: str) -> None:
    assert run("audit", "sends", "--day", day).code == 2


def test_a_suspect_is_reviewed_by_its_fingerprint(run: Command, planted: Planted) -> None:
    alike_to_one_address(planted)
    found = run("audit", "sends", "--json")
    assert found.code == 1
    (fingerprint,) = [
        f["fingerprint"] for check in found.data["checks"] for f in check["findings"] if f["code"] == "D4"
    ]
    assert run("audit", "review", fingerprint).code == 3
    reviewed = run("audit", "review", fingerprint, "--why", "a reminder that was asked for", "--who", "Grace")
    assert reviewed.code == 0
    assert "a reminder that was asked for" in reviewed.out
    assert run("audit", "sends").code == 0


def test_a_fingerprint_that_nobody_found_is_refused(run: Command) -> None:
    ran = run("audit", "review", "d4-0000000000000000", "--why", "please", "--json")
    assert ran.code == 3
    assert "fingerprint" in ran.err
