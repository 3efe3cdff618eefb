"""What was found out about a predictor, for people and for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from antiphon.cli.boundary.tables import figures_json, share, table
from antiphon.cli.terminal import visible
from antiphon.plural import many

if TYPE_CHECKING:
    from rich.console import Console

    from antiphon.boundary.making.evaluate import Evaluation, Quality
    from antiphon.boundary.making.rejudge import Rejudged
    from antiphon.boundary.making.replay import Toll

_MOVED = 10  # cuts shown
_FAR = 3  # words: cuts moved by so many or more are counted together


def tell(console: Console, found: Evaluation) -> None:
    """Figures, toll, speed, curve and the worst words."""
    everything = found.together
    console.print(
        f"{many(everything.texts, 'text')} of {many(everything.problems, 'problem')},"
        f" {many(everything.whole.counts.words, 'word')}\n"
        "word by word (at once: in one piece), with 95% intervals over problems",
        soft_wrap=True,
    )
    figures = table("", "texts", "prec.", "recall", "style F1", "boundary", "within one word")
    figures.add_row("all", *_row(everything))
    figures.add_row("at once", *_row(everything, whole=True))
    if len(found.by_domain) > 1:
        figures.add_section()
        for name, quality in found.by_domain.items():
            figures.add_row(visible(name or "(none)"), *_row(quality))
    console.print()
    console.print(figures)
    if len(found.by_model) > 1:
        models = table("by model", "texts", "style F1", "within one word")
        for name, quality in found.by_model.items():
            texts, _, _, style, _, near = _row(quality)
            models.add_row(visible(name or "(none)"), texts, style, near)
        console.print()
        console.print(models)
    toll = found.toll
    console.print(
        f"\nreplayed as a run would cut them, per 100 words kept: {toll.per_100(toll.wrong):.1f} by the wrong author,"
        f" {costs(toll)}"
    )
    if found.speed is not None:
        console.print(f"{found.speed.bulk:,.0f} words/s in one piece, {found.speed.online:,.0f} word by word")
    if found.curve:
        _tell_curve(console, found)
    if found.worst:
        console.print("\nwords by the wrong author of which it was surest", style="bold")
    for word in found.worst:
        head = ", ".join(filter(None, (word.id, word.domain, f"the {word.writer}'s with {word.confidence:.2f}")))
        text = " ".join(f"{word.before}⟦{word.word}⟧{word.after}".split())
        console.print(f"{visible(head)}: {visible(text)}")


def costs(toll: Toll) -> str:
    """What was thrown away and forced, and the turns, per 100 words kept."""
    amounts = ((toll.thrown, "thrown away"), (toll.turns, "turns"), (toll.forced, "forced"))
    return ", ".join(f"{toll.per_100(count):.1f} {name}" for count, name in amounts)


def _row(quality: Quality, *, whole: bool = False) -> Sequence[str]:
    part = quality.whole if whole else quality.online
    figures, sure = part.figures, part.intervals
    return (
        f"{quality.texts:,}",
        share(figures.precision),
        share(figures.recall),
        share(figures.style_f1, sure.get("style_f1")),
        share(figures.exact_f1),
        share(figures.near_f1, sure.get("near_f1")),
    )


def _tell_curve(console: Console, found: Evaluation) -> None:
    columns = ("prec.", "recall", "style F1", "boundary", "within one", "wrong", "thrown")
    curve = table("style from", *columns)
    for point in found.curve:
        curve.add_row(
            f"{point.threshold:.2f}",
            *map(share, point.figures[:5]),
            f"{point.toll.per_100(point.toll.wrong):.1f}",
            f"{point.toll.per_100(point.toll.thrown):.1f}",
        )
    console.print()
    console.print(curve)


def tell_rejudged(console: Console, found: Rejudged) -> None:
    """How many turns of a run would have been cut elsewhere, and some of them."""
    cuts = table("turns", "all", "same", "earlier", "later", "by 1", "by 2", f"by {_FAR}+", "by ?", "unsure")
    for author, turns in found.turns.items():
        moved = [each for each in found.moved if each.author is author]
        known = [each.by for each in moved if each.by is not None]
        beyond, unsure = len(moved) - len(known), found.unsure[author]
        far = Counter(min(abs(by), _FAR) for by in known)
        numbers = (
            turns,
            turns - len(moved) - unsure,
            sum(by < 0 for by in known),
            sum(by > 0 for by in known) + beyond,
            *(far[by] for by in range(1, _FAR + 1)),
            beyond,
            unsure,
        )
        cuts.add_row(author, *(f"{number:,}" for number in numbers))
    console.print()
    console.print(cuts)
    console.print("by N: words earlier or later; ?: later than was written; unsure: too little was written to tell")
    if found.left_out:
        others = many(found.left_out, "more turn")
        console.print(f"left out: {others} of which the record does not say what was written")
    if found.moved:
        console.print("\ncut elsewhere: between ⟦ and ⟧ is what one would have kept and the other not", style="bold")
    for each in found.moved[:_MOVED]:
        by = (
            "further than was written" if each.by is None else f"{abs(each.by)} {'later' if each.by > 0 else 'earlier'}"
        )
        text = " ".join(f"{each.before}⟦{each.between}⟧{each.after}".split())
        console.print(f"{visible(str(each.key))}, the {each.author}, {by}: {visible(text)}")


def evaluation_json(found: Evaluation) -> dict[str, Any]:
    """All of it by name."""

    def parts(qualities: Mapping[str, Quality]) -> dict[str, Any]:
        return {name: _quality_json(quality) for name, quality in qualities.items()}

    return {
        **_quality_json(found.together),
        "by_domain": parts(found.by_domain),
        "by_model": parts(found.by_model),
        "replay": toll_json(found.toll),
        "words_per_second": found.speed._asdict() if found.speed is not None else None,
        "threshold_curve": [
            {"threshold": point.threshold, **figures_json(point.figures, {}), "replay": toll_json(point.toll)}
            for point in found.curve
        ],
        "worst": [word._asdict() for word in found.worst],
    }


def _quality_json(quality: Quality) -> dict[str, Any]:
    return {
        "texts": quality.texts,
        "problems": quality.problems,
        **{
            name: {"counts": part.counts._asdict(), **figures_json(part.figures, part.intervals)}
            for name, part in (("online", quality.online), ("whole", quality.whole))
        },
    }


def toll_json(toll: Toll) -> dict[str, Any]:
    """Counts, and each per 100 words kept."""
    counts = toll._asdict()
    per_100 = {name: toll.per_100(count) for name, count in counts.items() if name != "kept"}
    return {**counts, "per_100_kept": per_100 if toll.kept else None}


def rejudged_json(found: Rejudged) -> dict[str, Any]:
    """Counts, and every turn that would have been cut elsewhere."""
    return {
        "turns": dict(found.turns),
        "unsure": dict(found.unsure),
        "left_out": found.left_out,
        "moved": [{**each._asdict(), "key": str(each.key)} for each in found.moved],
    }
