"""The word lists of the gates are data: change one, raise `VERSION`, and a test pins the pair of version and digest."""

import hashlib
import json
import re
from functools import lru_cache
from importlib import resources
from types import MappingProxyType

VERSION = "3"

_DATA = resources.files("queue_pipeline.leads.gates").joinpath("words.json").read_text(encoding="utf-8")

#: Name -> alternatives, each a regular expression over plain text (lower case, single spaces). Where a gate masks
#: times, dates and links before it looks, each masked letter is NUL.
LISTS = MappingProxyType({name: tuple(entry["any"]) for name, entry in json.loads(_DATA)["patterns"].items()})
_SETS = MappingProxyType({name: frozenset(entry["any"].split()) for name, entry in json.loads(_DATA)["sets"].items()})


@lru_cache(maxsize=64)
def pattern(name: str) -> re.Pattern[str]:
    """The list of that name as one pattern."""
    return re.compile("|".join(f"(?:{alternative})" for alternative in LISTS[name]))


@lru_cache(maxsize=4096)
def says(name: str, text: str) -> bool:
    """Whether the text says something of that list."""
    return pattern(name).search(text) is not None


def members(name: str) -> frozenset[str]:
    """A list that is a set of words."""
    return _SETS[name]


def digest() -> str:
    """The SHA-256 of the lists."""
    return hashlib.sha256(_DATA.encode()).hexdigest()


RULE_VERSION = f"{VERSION}:{digest()[:12]}"
