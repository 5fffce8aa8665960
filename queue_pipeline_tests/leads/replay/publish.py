"""Write the published schemas anew: `python -m queue_pipeline_tests.leads.replay.publish`."""

import json
from pathlib import Path

from queue_pipeline.leads.replay import published_schema


def main() -> None:
    """Write each schema beside the module that publishes it."""
    for name, generate in published_schema.GENERATE.items():
        path = Path(published_schema.__file__).with_name(f"{name}.schema.json")
        path.write_text(json.dumps(generate(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
