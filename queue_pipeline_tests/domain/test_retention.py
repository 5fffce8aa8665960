import re
from pathlib import Path

import pytest

from queue_pipeline.domain.errors import InvalidInput
from queue_pipeline.domain.retention import BY_NAME, CLASSES, NEVER, days_kept
from queue_pipeline.store import pruning
from queue_pipeline.store.migrations import versions


def test_each_class_has_statements_and_a_reason() -> None:
    assert set(BY_NAME) == pruning.names()
    assert len(BY_NAME) == len(CLASSES)
    assert all(each.what and each.reason.endswith(".") for each in CLASSES)


def test_no_statement_deletes_what_is_never_forgotten() -> None:
    deleted = {table for name in BY_NAME for table in re.findall(r"DELETE FROM (\w+)", pruning.delete_sql(name))}
    assert deleted & set(NEVER) == set()
    created = {
        table
        for file in Path(versions.__file__).parent.glob("*.sql")
        for table in re.findall(r"CREATE TABLE (\w+)", file.read_text("utf-8"))
    }
    assert deleted | set(NEVER) <= created


def test_attempts_never_go_before_their_jobs_unless_somebody_says_so() -> None:
    assert days_kept(30)["attempts"] == 400
    assert days_kept(900)["attempts"] == 900
    assert days_kept(900, {"attempts": 5})["attempts"] == 5
    assert days_kept(7, {"lead_jobs": 500}) | {"jobs": 7, "lead_jobs": 500, "attempts": 500} == days_kept(
        7, {"lead_jobs": 500}
    )
    assert "dead_letters" not in days_kept(30)
    assert days_kept(30, {"dead_letters": 700})["dead_letters"] == 700


@pytest.mark.parametrize(("changes", "said"), [({"job": 1}, "class: 'job'"), ({"jobs": -1}, "days: -1")])
def test_an_unknown_class_and_an_impossible_age_are_refused(changes: dict[str, int], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        days_kept(30, changes)
