"""Draws what `bench.turns` noted: the wall time of each policy, by what the servers cost.

python -m bench.plot turns.jsonl docs/images/run-ahead.svg
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from pathlib import Path

_SETTINGS = {
    "": "the servers as they are",
    "--overhead-ms 6": "a request costs twice as much",
    "--prefill-ms 0.1": "reading costs twice as much",
    "--itl1 3 --itl-full 12": "writing costs twice as much",
    "away": "20 ms away, by TLS",
}
_POLICIES = {
    "exact": "0.2",
    "lock-step": "0.75",
    "streamed": "C0",
    "8": "C2",
    "16": "C4",
    "adaptive": "C1",
    "auto": "C3",
}


def main() -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rows", type=Path)
    parser.add_argument("to", type=Path)
    args = parser.parse_args()
    walls: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for line in args.rows.read_text("utf-8").splitlines():
        row = json.loads(line)
        walls["away" if row["away"] is not None else " ".join(row["costs"])][row["policy"]].append(row["wall_s"])
    mpl.rcParams |= {"svg.hashsalt": "antiphon", "svg.fonttype": "none", "font.size": 9}
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    axes = figure.subplots()
    seen, labels = set(), []
    for place, (setting, title) in enumerate(_SETTINGS.items()):
        if setting not in walls:
            continue
        medians = {
            policy: statistics.median(walls[setting][policy]) for policy in _POLICIES if policy in walls[setting]
        }
        for number, (policy, wall) in enumerate(medians.items()):
            at = place + (number - (len(medians) - 1) / 2) * 0.12
            label = None if policy in seen else policy
            bar = axes.bar(at, wall, 0.11, color=_POLICIES[policy], label=label)
            axes.bar_label(bar, fmt="%.0f", fontsize=7)
            seen.add(policy)
        labels.append((place, title))
    axes.set_xticks([place for place, _ in labels], [title.replace(" costs", "\ncosts") for _, title in labels])
    axes.set_ylabel("wall time, s")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(ncols=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, 1.14))
    figure.savefig(args.to, metadata={"Date": None})


if __name__ == "__main__":
    main()
