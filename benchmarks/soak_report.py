"""What a soak says: whether anything still grows in its last half, as a table and as a picture."""

import io
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from queue_pipeline.domain.limits import Limits

Row = dict[str, Any]
Finding = dict[str, Any]

#: Over the last half a series may grow by this share of its own level ...
GROWTH_SHARE_MAX = 0.10
#: ... or by this much, whichever is more: a table of a few pages doubles without growing, and dead rows are a saw.
GROWTH_FLOORS: Mapping[str, float] = {"bytes": 2 * 2**20, "dead": 20_000, "memory": 10 * 2**20}
#: The failure contract's; how old a job gets while a drain hands over depends on who else uses the machine.
AGE_SECONDS_MAX = Limits().queue_age_limit_seconds
THROUGHPUT_SHARE_MIN = 0.98
MIB = 2**20


def judge(rows: Sequence[Row], rate: float) -> list[Finding]:
    """One finding for each series that could grow, largest growth first, and two about the queue itself."""
    half = rows[len(rows) // 2 :]
    found = [_throughput(half, rate), _age(half)]
    names = {name.rsplit(":", 1)[0] for name in half[-1] if name.endswith(":table")}
    series = {
        f"{name}, table and indexes": ("bytes", [row[f"{name}:table"] + row[f"{name}:index"] for row in half])
        for name in names
    }
    series |= {f"{name}, dead tuples": ("dead", [row[f"{name}:dead"] for row in half]) for name in names}
    series |= {
        f"memory of {name.removeprefix('memory:')}": ("memory", [row.get(name) for row in half])
        for name in half[-1] if name.startswith("memory:") and "child" not in name
    }  # fmt: skip
    series["memory of the largest drain"] = (
        "memory",
        [row.get("memory:code-server: its largest child") for row in half],
    )
    series["the database"] = ("bytes", [row["database_bytes"] for row in half])
    grown = [_growth(what, kind, [row["seconds"] for row in half], values) for what, (kind, values) in series.items()]
    return found + sorted((each for each in grown if each is not None), key=lambda each: (each["good"], -each["level"]))


def _growth(what: str, kind: str, seconds: Sequence[float], values: Sequence[float | None]) -> Finding | None:
    """The growth that a straight line through the last half has."""
    points = [(at, float(value)) for at, value in zip(seconds, values, strict=True) if value is not None]
    if len(points) < 4:
        return None
    middle, level = sum(at for at, _ in points) / len(points), sum(value for _, value in points) / len(points)
    slope = sum((at - middle) * (value - level) for at, value in points) / sum((at - middle) ** 2 for at, _ in points)
    growth = slope * (points[-1][0] - points[0][0])
    bound = max(GROWTH_SHARE_MAX * level, GROWTH_FLOORS[kind])
    return {
        "what": what,
        "unit": "tuples" if kind == "dead" else "bytes",
        "level": level,
        "growth": growth,
        "bound": bound,
        "good": growth <= bound,
    }


def _throughput(half: Sequence[Row], rate: float) -> Finding:
    seconds = half[-1]["seconds"] - half[0]["seconds"]
    measured = (half[-1]["finished"] - half[0]["finished"]) / seconds
    bound = THROUGHPUT_SHARE_MIN * rate
    return {
        "what": "throughput",
        "unit": "jobs/s",
        "level": measured,
        "growth": None,
        "bound": bound,
        "good": measured >= bound,
    }


def _age(half: Sequence[Row]) -> Finding:
    oldest = max(row["age_seconds"] for row in half)
    return {
        "what": "oldest due job, worst",
        "unit": "s",
        "level": oldest,
        "growth": None,
        "bound": AGE_SECONDS_MAX,
        "good": oldest <= AGE_SECONDS_MAX,
    }


def table(findings: Sequence[Finding]) -> str:
    """The findings as Markdown; what is small and good is left out."""
    lines = ["| last half of the run | level | growth | bound | good |", "|---|---|---|---|---|"]
    for each in findings:
        if (
            each["good"]
            and each["unit"] in ("bytes", "tuples")
            and each["level"] < 0.2 * GROWTH_FLOORS["bytes" if each["unit"] == "bytes" else "dead"]
        ):
            continue
        growth = "" if each["growth"] is None else _shown(each["growth"], each["unit"])
        level, bound = (_shown(each[key], each["unit"]) for key in ("level", "bound"))
        lines.append(f"| {each['what']} | {level} | {growth} | {bound} | {'yes' if each['good'] else 'NO'} |")
    return "\n".join(lines)


def _shown(value: float, unit: str) -> str:
    return (
        f"{value / MIB:,.1f} MiB"
        if unit == "bytes"
        else f"{value:,.0f} {unit}"
        if unit == "tuples"
        else f"{value:,.2f} {unit}"
    )


def draw(rows: Sequence[Row], rate: float) -> bytes:
    """Sizes, dead tuples, memory and the queue over the minutes of the run, as a PNG."""
    from matplotlib.figure import Figure
    from PIL import Image

    minutes = [row["seconds"] / 60 for row in rows]
    figure = Figure(figsize=(11, 8), dpi=90, layout="constrained")
    ((sizes, dead), (memory, queue)) = figure.subplots(2, 2, sharex=True)
    names = {name.rsplit(":", 1)[0] for name in rows[-1] if name.endswith(":table")}
    largest = sorted(
        names, key=lambda name: -max(row.get(f"{name}:table", 0) + row.get(f"{name}:index", 0) for row in rows)
    )[:7]
    for name in largest:
        sizes.plot(
            minutes, [(row.get(f"{name}:table", 0) + row.get(f"{name}:index", 0)) / MIB for row in rows], label=name
        )
    sizes.set_title("table and indexes (MiB)", fontsize="medium")
    for name in sorted(names, key=lambda name: -max(row.get(f"{name}:dead", 0) for row in rows))[:7]:
        dead.plot(minutes, [row.get(f"{name}:dead", 0) / 1000 for row in rows], label=name)
    dead.set_title("dead tuples (thousands)", fontsize="medium")
    for name in sorted(
        {name for row in rows for name in row if name.startswith("memory:") and not name.endswith(": children")}
    ):
        memory.plot(
            minutes, [(row.get(name) or float("nan")) / MIB for row in rows], label=name.removeprefix("memory:")
        )
    memory.set_title("memory (MiB)", fontsize="medium")
    steps = [
        (now["finished"] - before["finished"]) / (now["seconds"] - before["seconds"]) for before, now in pairwise(rows)
    ]
    queue.plot(minutes[1:], steps, label="finished jobs/s")
    queue.axhline(rate, color="grey", linestyle=":", linewidth=1)
    ages = queue.twinx()
    ages.plot(minutes, [row["wait_p95_ms"] for row in rows], color="#b03a2e", linewidth=1, label="wait p95 (ms, right)")
    ages.set_ylim(bottom=0)
    queue.set_title(f"throughput at {rate:g} jobs/s, and wait", fontsize="medium")
    for axes in (sizes, dead, memory, queue):
        axes.set_ylim(bottom=0)
        axes.set_xlabel("minutes")
        axes.legend(fontsize="x-small", loc="lower right")
    ages.legend(fontsize="x-small", loc="upper right")
    raw, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png")
    Image.open(raw).convert("RGB").quantize(32).save(packed, format="PNG", optimize=True)
    return packed.getvalue()
