"""Read access to a JSON object that somebody else designed: by paths, and never surprised by what is there."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parseaddr
from typing import Any

from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.integrations.html_text import text_of_html
from queue_pipeline.integrations.mail import TEXT_MAX, storable

HTML_MAX = 1_000_000
_LINE_MAX = 300
_ID_BYTES_MAX = 500
_ADDRESS = re.compile(r"[^\s<>,;\x00-\x1f\x7f]{1,320}")
_SPACES = re.compile(r"\s+")

#: Where something may be: dotted paths such as `data.reply.to.0.address`; the first that holds something counts.
Paths = tuple[str, ...]


class Fields:
    """A JSON object. What is absent, blank or of another type is None."""

    def __init__(self, value: Mapping[str, Any]) -> None:
        self._value = value

    def text(self, *paths: str) -> str | None:
        """The first text or whole number, as text that can be stored, without blanks around it."""
        for path in paths:
            found = self._at(path)
            if isinstance(found, int) and not isinstance(found, bool):
                return str(found)
            if isinstance(found, str) and found.strip():
                return storable(found).strip()
        return None

    def line(self, *paths: str) -> str | None:
        """As `text`, on one line of bounded length."""
        found = self.text(*paths)
        return None if found is None else _SPACES.sub(" ", found)[:_LINE_MAX]

    def identifier(self, *paths: str) -> str | None:
        """As `text`; one that is too long for an index is replaced by its SHA-256."""
        found = self.text(*paths)
        if found is None or len(found.encode()) <= _ID_BYTES_MAX:
            return found
        return f"sha256:{hashlib.sha256(found.encode()).hexdigest()}"

    def flag(self, *paths: str) -> bool:
        """Whether one of them says yes."""
        return any(self._at(path) in (True, 1, "1", "true", "True", "yes") for path in paths)

    def moment(self, *paths: str) -> datetime | None:
        """The first time that can be read: ISO 8601 (UTC unless it says otherwise), or Unix seconds or milliseconds."""
        for path in paths:
            found = _moment(self._at(path))
            if found is not None:
                return found
        return None

    def address(self, *paths: str) -> str | None:
        """The first bare address, of mail or telephone, in lower case; a display name around it is dropped."""
        for path in paths:
            found = self.text(path)
            if found is None:
                continue
            bare = parseaddr(found)[1] if "@" in found and "<" in found else found
            if _ADDRESS.fullmatch(bare):
                return bare.lower()
        return None

    def body(self, text: Paths, html: Paths) -> str:
        """The plain text, else the HTML as text. Raises InvalidInput when it is longer than a message can be."""
        found = self.text(*text)
        if found is None:
            marked_up = self.text(*html) or ""
            _at_most(HTML_MAX, marked_up, html)
            found = storable(text_of_html(marked_up))
        _at_most(TEXT_MAX, found, text or html)
        return found

    def each(self, path: str) -> Iterator["Fields"]:
        """The objects of a list."""
        found = self._at(path)
        return (Fields(item) for item in found if isinstance(item, dict)) if isinstance(found, list) else iter(())

    def within(self, *paths: str) -> "Fields":
        """The first of these that is an object; these fields themselves when none is."""
        found = next((inner for path in paths if isinstance(inner := self._at(path), dict)), None)
        return self if found is None else Fields(found)

    def changed(self, **values: Any) -> "Fields":
        """The same fields with others at the top level."""
        return Fields({**self._value, **values})

    def all(self) -> dict[str, Any]:
        """Everything, as it came."""
        return dict(self._value)

    def _at(self, path: str) -> Any:
        found: Any = self._value
        for step in path.split("."):
            if isinstance(found, dict):
                found = found.get(step)
            elif isinstance(found, list) and step.isdigit() and int(step) < len(found):
                found = found[int(step)]
            else:
                return None
        return found


def _moment(value: Any) -> datetime | None:
    try:
        if isinstance(value, str):
            text = value.strip()
            if not text.isascii() or not text.isdigit():
                found = datetime.fromisoformat(text)
                return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
            value = int(text)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return datetime.fromtimestamp(value / 1000 if value > 1e11 else value, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _at_most(characters: int, text: str, paths: Paths) -> None:
    if len(text) > characters:
        raise InvalidInput(
            paths[0], f"{len(text)} characters", f"At most {characters} are taken; leave out what is quoted."
        )
