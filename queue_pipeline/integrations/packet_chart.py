"""The chart of an evidence packet: canary and control side by side."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from queue_pipeline.domain.canary import Cohort, CohortSample
from queue_pipeline.domain.slo_report import COHORTS

COLOURS = 32
_LINES: Mapping[Cohort, Mapping[str, Any]] = {
    "canary": {"color": "#d97706", "linewidth": 1.5},
    "control": {"color": "#4a6fa5", "linewidth": 4, "alpha": 0.6},
}


def drawn(samples: Sequence[CohortSample], age_limit_seconds: float) -> bytes:
    """Queue age and failed attempts of both cohorts over the canary's samples, as a PNG."""
    # Imported here: only a packet draws, and loading these takes half a second.
    from matplotlib.dates import ConciseDateFormatter
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5), dpi=90, layout="constrained")
    ages, failures = figure.subplots(2, 1, sharex=True)
    for cohort in reversed(COHORTS):  # the canary is drawn last, in front of what it is held against
        own = [sample for sample in samples if sample.cohort == cohort]
        times: list[Any] = [sample.sampled_at for sample in own]
        ages.plot(times, [sample.oldest_due_age_seconds for sample in own], label=cohort, **_LINES[cohort])
        failures.plot(times, [sample.failed_jobs for sample in own], label=cohort, **_LINES[cohort])
    if samples:
        ages.axhline(age_limit_seconds, color="#b03a2e", linestyle=":", linewidth=1, label="limit")
        ages.legend(loc="upper left", fontsize="small")
        failures.xaxis.set_major_formatter(ConciseDateFormatter(failures.xaxis.get_major_locator()))  # type: ignore[no-untyped-call]
    else:
        ages.text(0.5, 0.5, "no samples: no canary was measured", ha="center", va="center", transform=ages.transAxes)
    ages.set_ylabel("oldest due job (s)")
    failures.set_ylabel("failed attempts per sample")
    ages.set_ylim(bottom=0)
    failures.set_ylim(bottom=0, top=max([1, *(sample.failed_jobs for sample in samples)]) * 1.1)
    return _packed(figure)


def _packed(figure: Any) -> bytes:
    from PIL import Image

    raw, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(raw, format="png")
    Image.open(raw).convert("RGB").quantize(COLOURS).save(packed, format="PNG", optimize=True)
    return packed.getvalue()
