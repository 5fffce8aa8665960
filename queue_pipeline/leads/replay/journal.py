"""The journal of a replay: each finished case is on disk before the next is counted, so that a killed one goes on."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError

from queue_pipeline import InvalidInput
from queue_pipeline.leads.replay.artifact import CaseRecord

#: What must be the same for cases of an earlier start to count.
_SAME = ("manifestSha256", "configSha256")


class Journal:
    """A file of JSON lines: a head that says which replay this is, then one line for each finished case."""

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        self.path = path
        self.head = dict(head)
        self.finished: dict[str, CaseRecord] = {}

    def begin(self) -> Self:
        """Start anew; what was there before is gone."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_bytes(b"")
        self._append(self.head)
        return self

    def resume(self) -> Self:
        """Go on with the run that is there and its measured cases. Raises InvalidInput when it is another."""
        lines = self._lines()
        if not lines:
            return self.begin()
        head, *rest = lines
        different = [name for name in _SAME if head.get(name) != self.head.get(name)]
        if different:
            what = "manifest" if different == ["manifestSha256"] else "configuration"
            raise InvalidInput(
                "--resume",
                str(self.path),
                f"It was written by a replay with another {what}. Replay with the same one, or leave --resume out.",
            )
        self.head = head
        for line in rest:
            case = self._case(line)
            if case.verdict in ("pass", "fail"):
                self.finished[case.case_id] = case
        return self

    def add(self, case: CaseRecord) -> None:
        """Write down a finished case; it is on disk when this returns."""
        self._append(case.model_dump(mode="json", by_alias=True))

    def _append(self, content: Mapping[str, Any]) -> None:
        line = json.dumps(content, ensure_ascii=False, separators=(",", ":")) + "\n"
        with self.path.open("ab") as file:
            file.write(line.encode("utf-8", "surrogatepass"))
            file.flush()
            os.fsync(file.fileno())

    def _lines(self) -> list[dict[str, Any]]:
        """Whole lines; the last may have been cut off by the kill, and is cut off here too."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        whole, cut, torn = data.rpartition(b"\n")
        if torn:
            with self.path.open("r+b") as file:
                file.truncate(len(whole) + len(cut))
        try:
            return [json.loads(line) for line in whole.decode("utf-8").splitlines() if line]
        except ValueError as error:
            raise self._unreadable() from error

    def _case(self, line: dict[str, Any]) -> CaseRecord:
        try:
            return CaseRecord.model_validate(line)
        except ValidationError as error:
            raise self._unreadable() from error

    def _unreadable(self) -> InvalidInput:
        return InvalidInput("--resume", str(self.path), "It is no journal of a replay. Leave --resume out.")
