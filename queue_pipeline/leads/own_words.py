"""The words that the sender wrote, apart from those they quoted, signed with, or forwarded."""

import re

READ_MAX = 20_000
_QUOTED_FROM = re.compile(
    r"""(
        on\b.{0,200}\bwrote: | am\b.{0,200}\bschrieb\b.{0,200}: | le\b.{0,200}\ba\ [ée]crit\ ?:
      | el\b.{0,200}\bescribió:
      | -{2,}\s*(original\ message|forwarded\ message|urspr[üu]ngliche\ nachricht|message\ d'origine|mensaje\ original)
        \s*-{2,}
      | _{10,} | begin\ forwarded\ message:
    )\s*$""",
    re.IGNORECASE | re.VERBOSE,
)
#: The head of a quoted message as some mail programs write it, after an empty line.
_QUOTED_HEAD = re.compile(r"(from|von|de):\s*\S.*", re.IGNORECASE)
_QUOTED_HEAD_NEXT = re.compile(r"(sent|date|to|gesendet|datum|an|envoyé|à|enviado|para):\s", re.IGNORECASE)
_BROKEN_QUOTE = re.compile(r"(on|am|le|el)\b.{8,200}$", re.IGNORECASE)
_DEVICE = re.compile(
    r"(sent|get|gesendet|envoyé|enviado)\s+(from|von|depuis|de|desde|outlook)\b.{0,60}$|von meinem \w+ gesendet\.?$",
    re.IGNORECASE,
)
_STRAIGHT = str.maketrans(
    {"\N{RIGHT SINGLE QUOTATION MARK}": "'", "\N{LEFT SINGLE QUOTATION MARK}": "'", "\N{NO-BREAK SPACE}": " "}
)
_SENTENCE_END = re.compile(r"(?<=[.!?…])(?<!\d\.)\s+|\n+")


def own_words(body: str) -> str:
    """The text without quoted lines, and without whatever follows a quotation's first line or a signature mark."""
    lines = body[:READ_MAX].splitlines()
    kept: list[str] = []
    for number, line in enumerate(lines):
        following = lines[number + 1].strip() if number + 1 < len(lines) else ""
        if _ends_own_words(line, following):
            break
        if not line.lstrip().startswith(">") and not _DEVICE.match(line.strip()):
            kept.append(line)
    return "\n".join(kept).strip()


def sentences(text: str) -> list[str]:
    """The text in sentences, each on one line, with typewriter apostrophes."""
    return [" ".join(part.split()) for part in _SENTENCE_END.split(text.translate(_STRAIGHT)) if part.strip()]


def _ends_own_words(line: str, following: str) -> bool:
    text = line.strip()
    if line.rstrip() == "--" or _QUOTED_FROM.match(text):
        return True
    if _QUOTED_HEAD.fullmatch(text) and _QUOTED_HEAD_NEXT.match(following):
        return True
    return bool(_BROKEN_QUOTE.match(text) and _QUOTED_FROM.match(f"{text} {following}"))
