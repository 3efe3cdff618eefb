"""`antiphon verify`: which answers of a run are right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from antiphon.cli import options
from antiphon.cli.reading import first
from antiphon.cli.terminal import print_json, say, show, visible, warn
from antiphon.plural import many
from antiphon.trace import Status

if TYPE_CHECKING:
    from antiphon.scale.spread import Spread
    from antiphon.verify.judge import Judged


def verify(
    directories: options.RunDirectories,
    variant: Annotated[str | None, options.variant("all")] = None,
    limit: Annotated[int | None, options.limit("answers")] = None,
    verifier: options.VerifierNames = None,
    unsafe_local: options.UnsafeLocal = False,
    again: options.Again = False,
    jobs: Annotated[int | None, options.jobs("one a core")] = None,
    ray: options.Ray = None,
    json: options.Json = False,
) -> None:
    """Judges the answers of a run, each once; verdicts stay by the traces.

    Example: antiphon verify runs/one

    Run it again and it goes on where it stood. Several run directories are judged in turn. Model-written programs run
    in a sandbox (docs/sandbox.md). With --ray, answers go to a cluster's machines; verdicts come back here.

    Verifiers: {verifiers} (docs/verify.md).

    Exit codes: 0 done, 1 some answers could not be judged, 2 wrong use, 3 the disk or cluster gave out, 130
    interrupted.
    """
    from antiphon.cli.judging import facts, judged
    from antiphon.cli.stopping import INTERRUPTED
    from antiphon.store import Reader
    from antiphon.verify.choose import VERIFIERS, verifiers
    from antiphon.verify.judge import judge, judging
    from antiphon.verify.workers import cores

    for directory in directories:
        Reader(directory).close()  # what cannot be opened is said before the first is judged
    specs = list(verifier or VERIFIERS)
    by = verifiers(specs, unsafe=unsafe_local, jobs=jobs)
    how: dict[str, Any] = {"variant": variant, "again": again, "jobs": jobs or cores()}
    code, found, left = 0, list[dict[str, Any]](), limit
    with ExitStack() as around:
        if ray is not None:
            how["elsewhere"] = partial(
                around.enter_context(_cluster(ray, jobs)).map, partial(judging, specs, unsafe=unsafe_local)
            )
        for directory in directories:
            with Reader(directory) as reader:
                total = reader.counts(variant).get(Status.COMPLETE, 0)
            done = judged(partial(judge, directory, by, limit=left, **how), total, quiet=json)
            with Reader(directory) as reader:
                names = [each.name for each in reader.variants() if variant in (None, each.name)]
                variants = [{"name": name, **facts(reader, name)} for name in names]
            its = INTERRUPTED if done is None else 1 if done.cannot_judge else 0
            code = max(code, its)
            if not json:
                _tell(directory, done, variants)
            found.append({"run": str(directory), **_summary(done), "variants": variants, "exit_code": its})
            if done is None:
                break
            left = None if left is None else left - done.given
            if left == 0:
                break
    if json:
        print_json(found[0] if len(directories) == 1 else {"runs": found}, code)
    raise typer.Exit(code)


def _cluster(address: str, jobs: int | None) -> Spread:
    from antiphon.scale.spread import Spread

    if jobs is not None:
        raise typer.BadParameter("on a cluster there is one for each of its CPUs; leave it out", param_hint="--jobs")
    return Spread(address)


def _summary(done: Judged | None) -> dict[str, Any]:
    """What this call did, as JSON has it."""
    if done is None:
        return {"interrupted": True}
    return {
        "interrupted": False,
        "judged": {variant: dict(labels) for variant, labels in done.labels.items()},
        "before": done.before,
        "unsuited": done.unsuited,
        "cannot_judge": done.cannot_judge,
        "reasons": list(done.reasons),
        "repaired": done.repaired,
    }


def _tell(directory: Path, done: Judged | None, variants: Sequence[Mapping[str, Any]]) -> None:
    """The same for people."""
    from antiphon.cli.judging import table

    if done is not None and done.repaired:
        warn(done.repaired)
    show(f"{visible(str(directory))}: {_said(done)}")
    if variants:
        show(table(variants))
    if done is None:
        say("Interrupted. All verdicts are kept; the same command goes on.")
    elif done.cannot_judge:
        say(
            f"{many(done.cannot_judge, 'answer')} could not be judged:",
            style="bold red",
        )
        for line in first(done.reasons, "reason"):
            say(f"  {line}")


def _said(done: Judged | None) -> str:
    if done is None:
        return "interrupted"
    return f"{many(done.given, 'answer')} judged" + (f", {done.before:,} were before" if done.before else "")
