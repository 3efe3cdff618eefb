"""How far to run ahead: all policies on the simulated pair, one after the other in one run.

python -m bench.turns                                512 problems by ids, every policy and the two rows of bench/rows.py
python -m bench.turns --policy auto streamed --repeat 3
python -m bench.turns --costs --overhead-ms 6        with the servers' cost of a request doubled
python -m bench.turns --away 20                      behind TLS, 20 ms away in each direction

Prints a table of medians, and each one's wall time as a multiple of the first row's. Waste is by the servers' own
counters, what they wrote behind a stream that was closed included.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.away import away
from bench.rows import ROWS, measured_row
from bench.simulated import measured
from bench.simulator import problems, simulated_pairs

POLICIES = (*ROWS, "streamed", "16", "adaptive", "auto")
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
        policy: {name: statistics.median(row[name] for row in some) for name in _SHOWN if name in some[0]}
        for policy, some in rows.items()
    }
    first = next(iter(medians.values()))["wall_s"]
    lines = [
        f"| run_ahead | {' | '.join(_SHOWN.values())} | wall to the first |",
        f"|---|{'---|' * (len(_SHOWN) + 1)}",
    ]
    for policy, figures in medians.items():
        cells = [f"{figures[name]:g}" if name in figures else "" for name in _SHOWN]
        lines.append(f"| {policy} | {' | '.join(cells)} | {figures['wall_s'] / first:.2f} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--problems", type=int, default=512)
    parser.add_argument("--spans", type=int, help="pairs of spans in a trace; unset: 50 to 90")
    parser.add_argument("--policy", nargs="+", default=POLICIES)
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--boundary", help="any predictor; unset: the script's own labels")
    parser.add_argument("--to", type=Path, help="a file that gets each run as a line of JSON")
    parser.add_argument("--away", type=float, metavar="MS", help="milliseconds to the servers, by TLS")
    parser.add_argument("--costs", nargs=argparse.REMAINDER, default=[], help="flags of the simulator")
    args = parser.parse_args()
    rows: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (pair,) = stack.enter_context(simulated_pairs(folder, costs=args.costs))
        if args.away is not None:
            pair = stack.enter_context(away(pair, folder, args.away / 1000))
        some = problems(folder, args.problems, spans=args.spans)
        more = {} if args.boundary is None else {f"boundary.{role}": args.boundary for role in ("teacher", "student")}
        for number in range(args.repeat):
            for policy in args.policy:
                if policy in ROWS:
                    row = measured_row(pair, some, policy)
                else:
                    ahead = int(policy) if policy.isdigit() else policy
                    row = measured(pair, some, "ids", folder / f"{policy}-{number}", run_ahead=ahead, **more)
                rows[policy].append(row)
                print(json.dumps({"policy": policy, **row}), flush=True)
                if args.to is not None:
                    with args.to.open("a", encoding="utf-8") as file:
                        file.write(json.dumps({"policy": policy, "costs": args.costs, "away": args.away, **row}) + "\n")
    print(table(rows))


if __name__ == "__main__":
    main()
