from datetime import UTC, datetime

import pytest

from queue_pipeline.domain.measurement import Measurement, Parameter, literal


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, "NULL"), (3, "3"), (0.5, "0.5"), ("o'clock", "'o''clock'"),
        (datetime(2031, 3, 4, 5, 6, 7, 8, tzinfo=UTC), "'2031-03-04T05:06:07.000008+00:00'"),
    ],
)  # fmt: skip
def test_a_parameter_is_written_as_sql_has_it(value: Parameter, written: str) -> None:
    assert literal(value) == written


def test_a_measurement_names_its_file_and_how_to_ask_again() -> None:
    measurement = Measurement("window_waits", {"canary_id": 3, "until": "now"}, [{"cohort": "canary", "n": 1}])
    assert measurement.file == "queue_pipeline/queries/window_waits.sql"
    assert measurement.command() == (
        'psql "$PSQL_URL" -v "canary_id=3" -v "until=\'now\'" -f queue_pipeline/queries/window_waits.sql'
    )
    assert measurement.of("cohort", "canary") == {"cohort": "canary", "n": 1}
    assert measurement.of("cohort", "control") == {}
    assert Measurement("a", {}, []).one() == {}
