"""Measure what many workspaces and several drains do to each other, each figure beside its peer in the same run.

    python -m benchmarks.scale [crowd] [shares] [claim] [drains] [--small] [--json FILE]

`crowd`   one workspace has a million jobs when a thousand others enqueue one each; beside the same on an idle queue
`shares`  how evenly equal workspaces are served (Jain's index), and how well weights 1 : 2 : 4 are kept
`claim`   a claim of 20 among a million pending and ten million finished jobs, beside one among a thousand
`drains`  four drains on one shard, beside one; and the deadlocks that PostgreSQL counted

Without names all four. `--small` is a hundredth of the rows, to try it. Exit code 1 when a target is missed.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import scale_claim, scale_crowd, scale_drains, scale_shares
from benchmarks.server import Server, server
from benchmarks.target import Target

SCENARIOS: dict[str, Callable[[Server, int], list[Target]]] = {
    "crowd": scale_crowd.measure,
    "shares": scale_shares.measure,
    "claim": scale_claim.measure,
    "drains": scale_drains.measure,
}


def main() -> int:
    """Run what was asked for, and print one line for each target."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", help=", ".join(SCENARIOS))
    parser.add_argument("--small", action="store_true", help="a hundredth of the rows")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    options = parser.parse_args()
    unknown = set(options.scenarios) - set(SCENARIOS)
    if unknown:
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    targets: list[Target] = []
    with server() as private:
        print(f"PostgreSQL {private.version()}.\n\n| what | wanted | measured | met |\n| --- | --- | --- | --- |")
        for name in options.scenarios or SCENARIOS:
            for target in SCENARIOS[name](private, 100 if options.small else 1):
                targets.append(target)
                print(target.row(), flush=True)
    if options.json:
        options.json.write_text(json.dumps([vars(target) for target in targets], indent=2) + "\n", encoding="utf-8")
    return 0 if all(target.met is not False for target in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
