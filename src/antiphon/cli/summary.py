"""What a run came to, when `antiphon synth` ends."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from antiphon.cli.reading import first
from antiphon.cli.terminal import say, show, visible
from antiphon.plural import many
from antiphon.trace import Label, Status

if TYPE_CHECKING:
    from antiphon.problem import Loaded
    from antiphon.synth.run import Run


def summary(run: Run, loaded: Loaded, *, problems: int, interrupted: bool) -> dict[str, Any]:
    """What the run came to, as JSON has it. `problems` are so many, those of other shards among them."""
    from antiphon.store import Reader

    wanted = set(run.keys)
    with Reader(run.directory) as reader:
        names = [variant.name for variant in reader.variants()]
        counts = reader.counts(run.variant) if run.variant in names else {}
        failed = {
            str(trace.key): trace.cause
            for trace in (reader.traces(variant=run.variant, status=[Status.FAILED]) if counts else ())
            if trace.key in wanted
        }
    tally = run.tally
    spend = tally.spend
    assert spend is not None, "it has run"
    return {
        "run": str(run.directory),
        "variant": run.variant,
        "problems": problems,
        "shard": None if run.share is None else str(run.share.shard),
        "duplicates": loaded.duplicates,
        "skipped": [str(error) for error in loaded.bad],
        "interrupted": interrupted,
        "repaired": run.repaired,
        "planned": tally.planned,
        "before": tally.before,
        "finished": dict(tally.finished),
        "traces": {status or "pending": count for status, count in counts.items()},
        "failed": failed,
        "judged": dict(tally.labels),
        "until_right": None if tally.aim is None else asdict(tally.aim),
        "tokens": {
            role: {
                "received": usage.received,
                "kept": usage.kept,
                "prompt": usage.prompt,
                "cached": usage.cached,
                "cached_share": usage.cached_share,
            }
            for role, usage in tally.usage.items()
            if usage.requests
        },
        "run_ahead": {f"{role} at {server}": way._asdict() for (role, server), way in run.ahead.items()},
        "admission": run.admitted,
        "spent": {"tokens": spend.tokens, "hours": spend.hours, "cost": spend.costs},
        "reached": spend.reached,
    }


def tell(run: Run, summary: dict[str, Any]) -> None:
    """The same for people."""
    from antiphon.cli.progress import authors

    counts = ", ".join(f"{count:,} {status}" for status, count in summary["traces"].items())
    traces = many(sum(summary["traces"].values()), "trace")
    show(f"{visible(str(run.directory))}: variant {visible(run.variant)}, {traces}{': ' if counts else ''}{counts}")
    if run.share is not None:
        shard, sizes = run.share.shard, run.share.problems
        show(f"shard {shard}: {sizes[shard.index]:,} of {many(sum(sizes), 'problem')}")
    tally = run.tally
    if tally.aim is not None:
        aim, wanted = tally.aim, run.settings.until_right
        rest = {"given up": aim.settled - aim.reached, "not finished": aim.problems - aim.settled}
        said = "".join(f", {count} {what}" for what, count in rest.items() if count)
        show(f"problems with {wanted} right: {aim.reached:,} of {aim.problems:,}{said}")
    if any(usage.kept for usage in tally.usage.values()):
        show(f"tokens kept in this session: {authors({role: usage.kept for role, usage in tally.usage.items()})}")
    shares = {role: share for role, usage in tally.usage.items() if (share := usage.cached_share) is not None}
    if shares:
        show(f"prompt tokens from cache: {', '.join(f'{role} {share:.0%}' for role, share in shares.items())}")
    for (role, server), (way, reason) in run.ahead.items():
        show(f"{role} at {visible(server)}: {way} ({reason})")
    if run.admitted:
        show(visible(run.admitted))
    spend = tally.spend
    stopped = None if spend is None else spend.stopped
    if spend is not None and stopped is None and spend.amounts():
        show(f"spent: {', '.join(spend.amounts().values())}")
    failed = summary["failed"]
    if failed:
        say(f"{many(len(failed), 'trace')} failed:", style="bold red")
        for line in first([f"{key}: {cause}" for key, cause in failed.items()], "failed trace"):
            say(f"  {line}")
        say("Write them anew with the same command and --retry failed.")
    if unfit := tally.labels[Label.CANNOT_JUDGE]:
        say(f"{many(unfit, 'answer')} could not be judged; why: antiphon verify {run.directory}", style="bold red")
    if summary["interrupted"]:
        say("Interrupted. Everything is kept; the same command goes on.")
    elif stopped is not None:
        say(f"Stopped: {stopped}. Everything is kept.")
