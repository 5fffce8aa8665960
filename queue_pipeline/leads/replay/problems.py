"""What is wrong with a document, in sentences that name the field, the value and the remedy."""

from typing import Any

from pydantic import ValidationError

_SHOWN = 80


def sentences(error: ValidationError, content: Any = None) -> list[str]:
    """Every problem of a validation, with the id of the case it lies in when `content` has it."""
    found = []
    for problem in error.errors(include_url=False, include_context=False):
        place = ".".join(str(part) for part in problem["loc"])
        given = "" if problem["type"] == "missing" or not place else f" (given: {repr(problem['input'])[:_SHOWN]})"
        named = _case_of(problem["loc"], content)
        said = problem["msg"].removeprefix("Value error, ")
        found.append(f"{named}{place}: {said}{given}" if place else f"{named}{said}")
    return found


def _case_of(place: tuple[int | str, ...], content: Any) -> str:
    """`case x: ` for a problem within one case."""
    if len(place) < 2 or place[0] != "cases" or not isinstance(place[1], int) or not isinstance(content, dict):
        return ""
    case = content["cases"][place[1]]
    name = case.get("case_id") if isinstance(case, dict) else None
    return f"case {name}, " if isinstance(name, str | int) else ""
