import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from queue_pipeline.domain.evidence_markdown import markdown_of
from queue_pipeline.domain.evidence_packet import EvidencePacket, canonical, digest, problems_of, sha256_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
DOCUMENTS = st.dictionaries(st.text(), VALUES, max_size=5)


def reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    return [reordered(each) for each in value] if isinstance(value, list) else value


@given(DOCUMENTS)
def test_the_same_content_has_the_same_hash_in_any_order_and_after_any_storage(document: dict[str, Any]) -> None:
    assert digest(reordered(document)) == digest(document)
    assert digest(json.loads(json.dumps(document))) == digest(document)
    assert digest(json.loads(canonical(document))) == digest(document)


@given(DOCUMENTS, st.text(min_size=1))
def test_other_content_has_another_hash(document: dict[str, Any], key: str) -> None:
    assert digest({**document, key: "changed"}) != digest({**document, key: "as it was"})


def test_a_whole_number_is_the_same_however_a_database_writes_it() -> None:
    assert digest({"n": 1.0, "rows": [2.0]}) == digest({"n": 1, "rows": [2]})


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_what_json_does_not_have_is_refused(number: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        digest({"n": number})


def document(**changes: Any) -> dict[str, Any]:
    item = {"name": "a", "status": "fail", "value": "1 of 2", "bound": "0", "source": "q.sql", "knobs": ["turn `a`"]}
    whole = {
        "verdict": "NO-GO", "reasons": ["a: 1 of 2"], "measured_at": "then", "environment": "local", "canary": None,
        "checklist": [item], "window": {"since": "s", "until": "u", "said": "No canary."},
        "measurements": [{"query": "q.sql", "command": "psql -f q.sql", "columns": ["n", "m"], "rows": [{"n": 0.123456789, "m": None}]}],
        "failure_rates": {"canary": {"failed": 1, "of": 2, "low": 0.1, "high": 0.9}}, "burn_rates": [],
        "audit": {"command": "audit", "said": "nothing", "checks": []}, "flags": [], "versions": {"python": "3"},
        "chart_sha256": sha256_of(b"png"),
    }  # fmt: skip
    return {**whole, **changes}


def packet(content: dict[str, Any], png: bytes = b"png") -> EvidencePacket:
    sha256 = digest(content)
    return EvidencePacket(sha256, None, content["verdict"], content, markdown_of(content, sha256), png)


def test_a_packet_that_was_changed_is_found_out() -> None:
    whole = packet(document())
    text = whole.markdown
    assert problems_of(whole, text) == []
    changed = EvidencePacket(whole.sha256, None, "GO", document(verdict="GO"), text, b"png")
    assert problems_of(changed, text) == ["its content has another hash"]
    assert problems_of(packet(document(), b"another"), text) == ["its chart is not the one that it names"]
    assert problems_of(whole, "GO") == ["its text does not say what its content says"]


def test_the_text_has_the_failed_metric_with_its_knobs_and_the_command_behind_each_number() -> None:
    text = packet(document()).markdown
    assert text.startswith("# NO-GO: evidence packet ")
    assert "| a | **FAIL** | 1 of 2 | 0 | `q.sql` |" in text
    assert "## What can be turned\n\nNothing is changed by itself.\n\n**a**: 1 of 2\n\n- turn `a`" in text
    assert "```sh\npsql -f q.sql\n```\n\n| n | m |\n|---|---|\n| 0.123457 |  |" in text


def test_somebody_elses_words_cannot_break_out_of_their_place() -> None:
    text = packet(document(reasons=["a | b\n# GO <script> [x](y) `c`"])).markdown
    assert "- a \\| b # GO &lt;script> \\[x](y) 'c'" in text
    assert "\n# GO" not in text
