"""A replay as a page that people read: the verdict, then each case that did not pass, with what was found in it."""

import re

from queue_pipeline.leads.replay.artifact import Artifact, CaseRecord, FindingRecord

_WORDS = {
    "pass": "PASS: every reply that must be good is good",
    "fail": "FAIL: measured, and not good enough",
    "unmeasured": "UNMEASURED: nothing is known, and nothing counts as passed",
}
_RUN_OF_TICKS = re.compile(r"`+")


def markdown(artifact: Artifact) -> str:
    """The report in Markdown."""
    return "\n".join([*_head(artifact), *_checks(artifact), *_cases(artifact)]) + "\n"


def summary_lines(artifact: Artifact) -> list[str]:
    """The verdict and why, without a word of any message or draft."""
    summary = artifact.summary
    config = artifact.config
    counts = (
        f"{summary.count} cases: {summary.passed} passed, {summary.failed} failed, {summary.unmeasured} not measured, "
        f"{summary.not_counted} not counted, {summary.selected_only} only looked at"
    )
    profile = f"profile {config.judge_profile} (threshold {config.judge_threshold})"
    score = "none" if summary.average_score is None else f"{summary.average_score:g}"
    return [
        f"**{_verdict(artifact)}** (exit code {artifact.exit_code})",
        "",
        *(f"- {_escaped(reason)}" for reason in artifact.reasons),
        f"- {counts}; average score {score}.",
        f"- Judge: {_escaped(config.judge)}, {profile}, prompt `{config.judge_prompt_key}`.",
        f"- Drafts: {_escaped(artifact.config.drafter)}.",
        *([] if artifact.self_test is None else [f"- Self-test: {_escaped(artifact.self_test.said)}."]),
    ]


def _verdict(artifact: Artifact) -> str:
    if artifact.config.dry_run:
        return "DRY RUN: no model and no judge was asked"
    return _WORDS[artifact.verdict]


def _head(artifact: Artifact) -> list[str]:
    lines = [
        f"# Replay {artifact.run_id}",
        "",
        *summary_lines(artifact),
        f"- Manifest `{_escaped(artifact.manifest_id)}`, SHA-256 `{artifact.manifest_sha256}`.",
    ]
    lines += [f"- Note: {_escaped(warning)}." for warning in artifact.selection.warnings]
    labels = artifact.summary.labels
    if labels.stated:
        wrong = f"; not with {', '.join(labels.disagreements)}" if labels.disagreements else ""
        lines.append(f"- Labels: the gate agrees with {labels.agreed} of {labels.stated}{_escaped(wrong)}.")
    difference = artifact.baseline_diff
    if difference is not None:
        lines.append(
            f"- Since {difference.run_id}: {len(difference.improved)} better, {len(difference.regressed)} worse, "
            f"{len(difference.added)} new, {len(difference.removed)} gone."
        )
    return lines


def _checks(artifact: Artifact) -> list[str]:
    counts = artifact.summary.critical_invariant_counts
    rows = [f"| {name} | {count} |" for name, count in counts.items()]
    kinds = [f"| {name} | {count} |" for name, count in artifact.summary.failure_type_counts.items() if count]
    lines = ["", "| finding | cases |", "|---|---:|", *rows]
    return [*lines, "", "| why a case did not pass | cases |", "|---|---:|", *kinds] if kinds else lines


def _cases(artifact: Artifact) -> list[str]:
    bad = [case for case in artifact.cases if case.verdict != "pass"]
    passed = [case.case_id for case in artifact.cases if case.verdict == "pass"]
    lines = [line for case in bad for line in _case(case)]
    if passed:
        lines += ["", "## Passed", "", ", ".join(_escaped(name) for name in passed) + "."]
    return lines


def _case(case: CaseRecord) -> list[str]:
    kind = f", {case.failure_type}" if case.failure_type else ""
    lines = ["", f"## {_escaped(case.case_id)}: {case.verdict.replace('_', ' ')}{kind}", ""]
    lines += [f"- {_escaped(reason)}" for reason in case.failure_reasons]
    lines += [_finding(finding) for finding in case.findings]
    if case.judge is not None:
        lines.append(
            f"- Judge: {case.judge.decision}, score {case.judge.score}, {len(case.judge.votes)} votes, agreement "
            f"{case.judge.agreement:g}; issues: {_escaped(', '.join(case.judge.issues)) or 'none'}."
        )
        lines += [f"  - {_escaped(vote.opinion.rationale)}" for vote in case.judge.votes]
    if case.label is not None and not case.label.agrees:
        lines.append(
            f"- The label says {case.label.verdict}: {_escaped(', '.join(case.label.failures)) or 'no failure'}."
        )
    return [*lines, *_quoted(case.draft)]


def _finding(finding: FindingRecord) -> str:
    place = f" at {finding.start}-{finding.end}" if finding.end else ""
    said = f" {_code(finding.text[:200])}" if finding.text else ""
    return f"- **{finding.code}**{place}:{said} {_escaped(finding.why)}"


def _quoted(draft: str | None) -> list[str]:
    """The draft as it stands, in a block in which nothing becomes a link or a picture."""
    if draft is None:
        return []
    fence = "`" * max(3, _longest_run(draft) + 1)
    return ["", f"{fence}text", draft, fence]


def _code(text: str) -> str:
    """Text as inline code, whatever is in it."""
    flat = " ".join(text.split())
    ticks = "`" * (_longest_run(flat) + 1)
    return f"{ticks} {flat} {ticks}" if "`" in flat else f"{ticks}{flat}{ticks}"


def _longest_run(text: str) -> int:
    return max((len(run) for run in _RUN_OF_TICKS.findall(text)), default=0)


def _escaped(text: str) -> str:
    """Text that draws no headings, links, tables or HTML."""
    return re.sub(r"([\\`*_\[\]<>#|!])", r"\\\1", " ".join(text.split()))
