"""An alert in Slack's own form: a header, the numbers, what happens next, and where to read on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from queue_pipeline.domain.alert_text import AlertText

#: Slack's own bounds, and what of a text is shown.
_HEADER_MAX = 150
_FIELD_MAX = 400
_FIELDS_PER_SECTION = 10
_TEXT_MAX = 2500


def text_of(text: AlertText) -> str:
    """What a phone shows of it."""
    return " ".join(part for part in (text.mention, escaped(text.line, _TEXT_MAX)) if part)


def blocks_of(text: AlertText) -> list[dict[str, Any]]:
    """The message in blocks. Only the mention, which the settings name, is not escaped."""
    happens = " ".join(part for part in (text.mention, escaped(text.happens_next, _TEXT_MAX)) if part)
    runbook = escaped(text.runbook, _FIELD_MAX)
    link = f"<{runbook}|Runbook>" if runbook.startswith(("http://", "https://")) else f"Runbook: `{runbook}`"
    return [
        {"type": "header", "text": {"type": "plain_text", "text": _shortened(text.headline, _HEADER_MAX)}},
        {"type": "section", "text": _mrkdwn(f"*{escaped(text.headline, _TEXT_MAX)}*")},
        *_sections(text.facts),
        {"type": "section", "text": _mrkdwn(happens)},
        {"type": "context", "elements": [_mrkdwn(link), _mrkdwn(escaped(text.context, _FIELD_MAX))]},
    ]


def escaped(text: str, limit: int) -> str:
    """The text with what Slack reads as markup made harmless, and shortened."""
    return _shortened(text, limit).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _sections(facts: Sequence[tuple[str, str]]) -> Iterator[dict[str, Any]]:
    for start in range(0, len(facts), _FIELDS_PER_SECTION):
        some = facts[start : start + _FIELDS_PER_SECTION]
        fields = [_mrkdwn(f"*{escaped(label, 80)}*\n{escaped(said, _FIELD_MAX) or '-'}") for label, said in some]
        yield {"type": "section", "fields": fields}


def _mrkdwn(text: str) -> dict[str, str]:
    return {"type": "mrkdwn", "text": text}


def _shortened(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
