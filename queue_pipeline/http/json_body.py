"""A body as one JSON object, with everything refused that readers of JSON disagree about."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.exceptions import HTTPException

_DIGITS_MAX = 40


class _NotUsable(ValueError):
    """The text is JSON, but not such that everybody reads the same out of it."""


def json_object(body: bytes, *, depth_max: int) -> dict[str, Any]:
    """The object in the body. Raises HTTPException 400 for what is no JSON, 422 for what is no usable object.

    Control characters within strings are let through: a vendor's template writes a lead's line breaks as they are.
    """
    try:
        value = json.loads(
            body.decode("utf-8-sig"),
            strict=False,
            object_pairs_hook=_without_twins,
            parse_int=_whole_number,
            parse_float=_number,
            parse_constant=_no_constant,
        )
    except UnicodeDecodeError as error:
        raise HTTPException(400, f"The body is not UTF-8 (byte {error.start + 1}). Send JSON in UTF-8.") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise HTTPException(400, f"The body is not JSON ({error.msg}, {where}). Send one JSON object.") from None
    except _NotUsable as error:
        raise HTTPException(400, f"The body cannot be used: {error}.") from None
    except RecursionError:
        raise _too_deep(depth_max) from None
    if not isinstance(value, dict):
        raise HTTPException(422, f"The body is a JSON {_kind(value)}. Send one JSON object.")
    _check_depth(value, depth_max)
    return value


def _check_depth(value: Any, depth_max: int) -> None:
    level: list[Any] = [value]
    for _ in range(depth_max):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise _too_deep(depth_max)


def _too_deep(depth_max: int) -> HTTPException:
    return HTTPException(422, f"The body is nested deeper than {depth_max} levels. Flatten it.")


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    return {list: "array", str: "string", bool: "boolean"}.get(type(value), "number")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _NotUsable(f"the key {name[:80]!r} stands twice in one object")
        found[name] = value
    return found


def _whole_number(digits: str) -> int:
    if len(digits) > _DIGITS_MAX:
        raise _NotUsable(f"a number has {len(digits)} digits; at most {_DIGITS_MAX} are read")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise _NotUsable("a number is too large")
    return value


def _no_constant(name: str) -> Mapping[str, Any]:
    raise _NotUsable(f"{name} is no JSON number")
