"""What the commands print: data on stdout, as a table or as JSON; words and progress on stderr."""

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

#: Wide enough that nothing is wrapped in a pipe or a file.
_PIPE_WIDTH = 500

#: The option that every command with data has.
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout instead of a table.")


def words() -> Console:
    """The console for words and progress: standard error."""
    return _console(stderr=True)


def say(text: str) -> None:
    """One line of words on standard error."""
    words().print(Text(plain(text)), soft_wrap=True)


def print_json(data: Any) -> None:
    """Data as JSON on standard output; times are ISO 8601 with their offset."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=_jsonable))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Data as a table on standard output; `empty` is said on standard error when there are no rows."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in columns:
        table.add_column(Text(column))
    for row in rows:
        table.add_row(*(Text(cell(value)) for value in row))
    if not table.row_count:
        say(empty)
        return
    _console(stderr=False).print(table)


def cell(value: Any) -> str:
    """A value as people read it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.1f}"
    if isinstance(value, datetime):
        return clock(value)
    return plain(str(value))


def clock(instant: datetime) -> str:
    """An instant in this machine's time zone, to the second."""
    return instant.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def plain(text: str) -> str:
    """The text without characters that would steer a terminal; other people write into these tables."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "�" for letter in text)


def log_to_stderr(console: Console, *, level: int = logging.INFO) -> None:
    """Show the package's log lines on standard error, above a progress display if there is one."""
    line: logging.Handler = logging.StreamHandler(console.file)
    if console.is_terminal:
        line = RichHandler(console=console, show_path=False, show_level=False, markup=False)
    line.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("queue_pipeline")
    logger.handlers[:] = [line]
    logger.setLevel(level)
    logger.propagate = False


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=_PIPE_WIDTH)


def _jsonable(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
