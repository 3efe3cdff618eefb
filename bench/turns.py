"""How far to run ahead: all policies on the simulated pair, one after the other in one run.

python -m bench.turns                                512 problems by ids, every policy
python -m bench.turns --policy auto streamed --repeat 3
python -m bench.turns --costs --overhead-ms 6        with the servers' cost of a request doubled

Prints a table of medians, and how much longer each took than the quickest. Waste is by the servers' own counters, what
they wrote behind a stream that was closed included. The simulator's README has two rows more: what an orchestrator
takes that asks for exactly what is kept, and one that lets all traces wait for each other.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from bench.simulated import measured
from bench.simulator import problems, simulated_pairs

POLICIES = ("streamed", "16", "adaptive", "auto")
_SHOWN = {
    "wall_s": "wall s",
    "cpu_ms_per_turn": "CPU ms a turn",
    "requests_per_turn": "requests a turn",
    "thrown_away_per_turn": "thrown away a turn",
    "of_teacher": "teacher's",
    "of_student": "student's",
    "rss_peak_mb": "MB",
}


def table(rows: dict[str, list[dict[str, Any]]]) -> str:
    """As Markdown."""
    medians = {
        policy: {name: statistics.median(row[name] for row in some) for name in _SHOWN} for policy, some in rows.items()
    }
    quickest = min(figures["wall_s"] for figures in medians.values())
    lines = [
        f"| run_ahead | {' | '.join(_SHOWN.values())} | wall to the quickest |",
        f"|---|{'---|' * (len(_SHOWN) + 1)}",
    ]
    for policy, figures in medians.items():
        cells = [f"{figures[name]:g}" for name in _SHOWN]
        lines.append(f"| {policy} | {' | '.join(cells)} | {figures['wall_s'] / quickest:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=512)
    parser.add_argument("--spans", type=int, help="pairs of spans in a trace; unset: 50 to 90")
    parser.add_argument("--policy", nargs="+", default=POLICIES)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--boundary", help="any predictor; unset: the script's own labels")
    parser.add_argument("--to", type=Path, help="a file that gets each run as a line of JSON")
    parser.add_argument("--costs", nargs=argparse.REMAINDER, default=[], help="flags of the simulator")
    args = parser.parse_args()
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with simulated_pairs(folder, costs=args.costs) as (pair,):
            some = problems(folder, args.problems, spans=args.spans)
            more = (
                {} if args.boundary is None else {f"boundary.{role}": args.boundary for role in ("teacher", "student")}
            )
            for number in range(args.repeat):
                for policy in args.policy:
                    ahead = int(policy) if policy.isdigit() else policy
                    row = measured(pair, some, "ids", folder / f"{policy}-{number}", run_ahead=ahead, **more)
                    rows[policy].append(row)
                    print(json.dumps({"policy": policy, **row}), flush=True)
                    if args.to is not None:
                        with args.to.open("a", encoding="utf-8") as file:
                            file.write(json.dumps({"policy": policy, "costs": args.costs, **row}) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
