import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from queue_pipeline.cli.app import main
from queue_pipeline_tests.cli.conftest import Ran

CASE = {
    "case_id": "a",
    "draft": "I've booked you for Tuesday at 3 pm.",
    "reference_now": "2026-02-12T10:00:00-05:00",
    "timezone": "America/New_York",
    "inbound": {"body": "Any time next week?", "sent_at": "2026-02-12T09:00:00-05:00"},
    "offered_slots": [{"start": "2026-02-17T15:00:00-05:00", "label": "Tue, Feb 17, 3:00 PM"}],
}
WRONG = CASE | {"case_id": "b", "draft": "I've booked you for Tuesday at 4 pm."}


class Checker:
    """`draft check` in an environment without any setting: it needs no database."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], folder: Path) -> None:
        self._monkeypatch, self._capsys, self._folder = monkeypatch, capsys, folder

    def __call__(self, *lines: object, options: tuple[str, ...] = ("--json",), stdin: bool = False) -> Ran:
        text = "".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines)
        file = self._folder / "cases.jsonl"
        file.write_text(text, encoding="utf-8")
        if stdin:
            self._monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        return self.run("-" if stdin else str(file), *options)

    def run(self, *arguments: str) -> Ran:
        self._capsys.readouterr()
        self._monkeypatch.setattr(sys, "argv", ["queue-pipeline", "draft", "check", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = self._capsys.readouterr()
        return Ran(int(ended.value.code or 0), printed.out, printed.err)


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Checker:
    return Checker(monkeypatch, capsys, tmp_path)


def results(ran: Ran) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.out.splitlines()]


def test_one_line_per_case_in_their_order_with_the_findings(check: Checker) -> None:
    ran = check(WRONG, CASE)
    assert ran.code == 1
    wrong, right = results(ran)
    assert right == {"case_id": "a", "findings": []}
    (found,) = wrong["findings"]
    assert list(found) == ["code", "severity", "start", "end", "text", "why"]
    assert (wrong["case_id"], found["code"], found["severity"]) == ("b", "slot_mismatch", "critical")
    assert WRONG["draft"][found["start"] : found["end"]] == found["text"] == "4 pm"  # type: ignore[index]


def test_nothing_found_is_0(check: Checker) -> None:
    assert check(CASE).code == 0
    assert check().code == 0


def test_standard_input_is_read_too(check: Checker) -> None:
    assert results(check(CASE, stdin=True)) == [{"case_id": "a", "findings": []}]


@pytest.mark.parametrize(
    ("line", "case_id", "word"),
    [
        ("{", None, "JSON"),
        ("[]", None, "dictionary"),
        ("\ud83d", None, "UTF-8"),
        (CASE | {"timezone": "Mars/Olympus"}, "a", "IANA"),
        (CASE | {"reference_now": "2026-02-12T10:00:00"}, "a", "reference_now"),
        ({"case_id": "c"}, "c", "reference_now"),
        ("[" * 100_000, None, "JSON"),
    ],
)
def test_a_line_that_cannot_be_read_says_so_and_the_others_are_checked(
    check: Checker, line: Any, case_id: str | None, word: str, tmp_path: Path
) -> None:
    file = tmp_path / "cases.jsonl"
    bad = line if isinstance(line, str) else json.dumps(line)
    file.write_bytes(
        f"{json.dumps(CASE)}\n".encode() + bad.encode("utf-8", "surrogatepass") + f"\n{json.dumps(WRONG)}\n".encode()
    )
    ran = check.run(str(file), "--json")
    assert ran.code == 2
    first, second, third = results(ran)
    assert (first["case_id"], third["case_id"]) == ("a", "b")
    assert (second["case_id"], second["line"]) == (case_id, 2)
    assert word in second["error"]


def test_a_file_that_is_not_there_is_wrong_usage(check: Checker) -> None:
    ran = check.run("no-such-file.jsonl", "--json")
    assert (ran.code, ran.out) == (3, "")
    assert "no-such-file.jsonl" in ran.err
    assert check.run().code == 3


def test_without_json_the_findings_are_a_table_and_the_words_go_to_stderr(check: Checker) -> None:
    ran = check(WRONG, CASE, "{", options=())
    assert "slot_mismatch" in ran.out
    assert "4 pm" in ran.out
    assert "line 3" in ran.err
    assert "3 cases, 1 with findings, 1 unreadable" in ran.err


def test_the_id_of_a_case_is_given_back_as_it_came(check: Checker) -> None:
    assert results(check(CASE | {"case_id": 7}))[0]["case_id"] == 7
