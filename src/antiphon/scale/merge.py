"""Run directories joined into one: shards of a run, or any runs by the same configuration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import groupby
from pathlib import Path

from antiphon.errors import StoreUnfit, UsageError, VariantChanged
from antiphon.plural import many
from antiphon.problem.shard import Share
from antiphon.store import Reader, Variant
from antiphon.store.intake import Intake, Taken
from antiphon.store.plan import differences
from antiphon.trace import Status


@dataclass(slots=True)
class Merged:
    """What `merge` did and what is there now.

    Attributes:
        taken: what came of each directory.
        problems: in the whole, and `counts` its traces by status, None for pending.
        missing: what shards have that were never merged, in words; empty where all are there.
        remarks: what else is good to know.
    """

    taken: dict[Path, Taken] = field(default_factory=dict)
    problems: int = 0
    counts: Mapping[Status | None, int] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def differing(self) -> int:
        """How many traces are finished in two directories with different texts."""
        return sum(len(taken.differing) for taken in self.taken.values())


@dataclass(frozen=True, slots=True)
class _Source:
    """A directory to be merged, as it was looked at."""

    directory: Path
    id: str
    change: int
    share: Share | None
    shares: Sequence[Share]
    problems: int
    variants: Mapping[str, Variant]


def merge(
    directories: Sequence[Path], to: Path, heard: Callable[[Path, int, int], None] = lambda directory, of, done: None
) -> Merged:
    """Joins run directories; again, and only what is new in them is taken.

    Each trace is taken whole with all that hangs on it. They may be written meanwhile.

    Args:
        to: a new directory, or one that was made by this function.
        heard: told now and then of which directory, of how many of its traces how many have been looked at.

    Raises:
        UsageError: a directory is named twice, or copies of one run are given.
        VariantChanged: variants of one name have different configurations; shows each difference.
        StoreError: a directory cannot be used; or shards of different wholes, or an older copy than was merged before.
    """
    sources = _look(directories, to)
    _require_one_whole(sources)
    merged = Merged()
    with Intake.open(to) as intake:
        with Reader(to) as reader:
            here = _Source(to, "", 0, None, reader.shares(), 0, {each.name: each for each in reader.variants()})
            known = reader.sources()
        _require_one_whole([here, *sources])
        _require_same([*([here] if here.variants else []), *sources])
        for source in sources:
            if source.change < known.get(source.id, 0):
                raise StoreUnfit(
                    f"{source.directory} is an older copy than the one that was merged before (its change number is"
                    f" {source.change}, that was {known[source.id]}); give the newest"
                )
        for source in sources:
            with Reader(source.directory) as reader:
                of = sum(reader.counts().values())
            merged.taken[source.directory] = intake.take(source.directory, partial(heard, source.directory, of))
    with Reader(to) as reader:
        merged.problems, merged.counts = reader.problem_count(), reader.counts()
        merged.missing = missing(reader.shares())
    merged.remarks = [*_smaller(sources), *_lacking(sources), *_versions(sources)]
    return merged


def missing(shares: Sequence[Share]) -> list[str]:
    """What no directory holds of the wholes that these are shares of, shard by shard, in words."""
    said = []
    for of, together in groupby(sorted(shares, key=lambda share: share.shard.of), lambda share: share.shard.of):
        there = list(together)
        sizes = _sizes(there)
        held = {share.shard.index for share in there}
        lacking = (index for index in range(of) if index not in held)
        said += [f"shard {index}/{of} is missing: {many(sizes[index], 'problem')}" for index in lacking]
    return said


def _sizes(shares: Sequence[Share]) -> list[int]:
    """How many problems each shard has of the largest whole that one of them was given."""
    return [max(sizes) for sizes in zip(*(share.problems for share in shares), strict=True)]


def _look(directories: Sequence[Path], to: Path) -> list[_Source]:
    places = Counter(path.resolve() for path in directories)
    twice = next((path for path in directories if places[path.resolve()] > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is named twice; leave one out")
    if to.resolve() in places:
        raise UsageError(f"{to} cannot be merged into itself; name another directory with --to")
    sources: dict[str, _Source] = {}
    for directory in directories:
        with Reader(directory) as reader:
            source = _Source(
                directory,
                reader.id(),
                reader.change(),
                reader.share(),
                reader.shares(),
                reader.problem_count(),
                {each.name: each for each in reader.variants()},
            )
        if source.id in sources:
            raise UsageError(f"{sources[source.id].directory} and {directory} are copies of one run; name one of them")
        sources[source.id] = source
    return list(sources.values())


def _require_one_whole(sources: Sequence[_Source]) -> None:
    """Refuses shards of divisions into different numbers."""
    found: dict[int, tuple[Share, Path]] = {}
    for source in sources:
        for share in source.shares:
            found.setdefault(share.shard.of, (share, source.directory))
    if len(found) > 1:
        (one, first), (other, second), *_ = found.values()
        raise StoreUnfit(
            f"{first} has shard {one.shard} and {second} shard {other.shard}: these are parts of different divisions; "
            "merge one division"
        )


def _require_same(sources: Sequence[_Source]) -> None:
    """Refuses variants of one name that are not the same."""
    first: dict[str, tuple[Path, Variant]] = {}
    for source in sources:
        for variant in source.variants.values():
            directory, known = first.setdefault(variant.name, (source.directory, variant))
            if variant.fingerprint != known.fingerprint:
                lines = "\n".join(differences(known.shaping, variant.shaping))
                raise VariantChanged(
                    f"variant {variant.name!r} has another configuration in {source.directory} than in {directory}:\n"
                    f"{lines}\nonly traces of the same configuration make one run; nothing was merged"
                )


def _smaller(sources: Sequence[_Source]) -> list[str]:
    """Shards that hold less than others say they should."""
    shares = [share for source in sources if (share := source.share) is not None]
    sizes = _sizes(shares) if shares else []
    return [
        f"{source.directory}: shard {source.share.shard} holds {source.problems:,} of its"
        f" {many(sizes[source.share.shard.index], 'problem')}; was it given the same files and --limit?"
        for source in sources
        if source.share is not None and source.problems < sizes[source.share.shard.index]
    ]


def _lacking(sources: Sequence[_Source]) -> list[str]:
    """Variants that some have and others do not. One without problems need have none."""
    names = dict.fromkeys(name for source in sources for name in source.variants)
    return [
        f"{source.directory} has no variant {name}, which others have"
        for source in sources
        if source.problems
        for name in names
        if name not in source.variants
    ]


def _versions(sources: Sequence[_Source]) -> list[str]:
    """Versions of this program, where there are several."""
    found: dict[str, Path] = {}
    for source in sources:
        for variant in source.variants.values():
            for about in (*variant.earlier, variant.about):
                if version := about.get("antiphon"):
                    found.setdefault(str(version), source.directory)
    if len(found) < 2:
        return []
    named = ", ".join(f"{version} ({directory})" for version, directory in found.items())
    return [f"written by different versions of antiphon: {named}; their records are of one form"]
