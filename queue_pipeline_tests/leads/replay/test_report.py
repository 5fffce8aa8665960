"""The report says the verdict first, quotes what was found with its place, and draws nothing that a draft contains."""

import re
from pathlib import Path

from queue_pipeline.leads.replay.report import markdown
from queue_pipeline_tests.leads.replay.stage import labelled, only, play


def test_the_report_quotes_findings_with_their_places(tmp_path: Path) -> None:
    artifact = play(only("slot-hour-shifted", "clean-price-deferred"), tmp_path)
    text = markdown(artifact)
    case = next(case for case in artifact.cases if case.case_id == "slot-hour-shifted")
    (finding,) = case.findings
    assert text.splitlines()[2].startswith("**FAIL")
    assert f"**slot_mismatch** at {finding.start}-{finding.end}: `{finding.text}`" in text
    assert case.judge is not None
    assert case.judge.votes[0].opinion.rationale.split(":")[0] in text
    assert "## Passed\n\nclean-price-deferred." in text


def test_a_draft_draws_no_link_no_picture_and_no_heading_in_the_report(tmp_path: Path) -> None:
    base = next(case for case in labelled().cases if case.case_id == "link-behind-a-label")
    hostile = "# FAKE\n\n```\n[book](https://evil.test/pay) ![x](https://evil.test/x.png)\n````\n# FAKE"
    case = base.model_copy(update={"reference_draft": hostile})
    artifact = play(only(case.case_id, manifest=labelled().model_copy(update={"cases": [case]})), tmp_path)
    outside = re.sub(r"(`{3,})text\n.*?\n\1(?:\n|$)", "", markdown(artifact), flags=re.DOTALL)
    assert "FAKE" not in outside
    assert "](https" not in outside.replace("\\](", "")


def test_a_dry_run_says_so_first(tmp_path: Path) -> None:
    text = markdown(play(only("clean-price-deferred"), tmp_path, dry_run=True))
    assert text.splitlines()[2].startswith("**DRY RUN")
