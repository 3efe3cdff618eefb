"""The report as Markdown: first what it says, then every figure that it says it by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from antiphon.analyse.telling import chance
from antiphon.lab.report.findings import LIKELIHOODS, OTHERS, Contrast, Data, Findings, Form
from antiphon.lab.report.telling import between, points, rated, share, star
from antiphon.lab.report.words import Answer, Part
from antiphon.lab.results import BASE, Results
from antiphon.plural import many

_STARS = (
    "Intervals are of 95% over seeds and problems; a star marks what is more than chance (p below 0.05) after Holm's"
    " correction for all tests of its table."
)


def markdown(
    results: Results,
    found: Findings,
    claim: Sequence[Part],
    answers: Sequence[Answer],
    pictures: Sequence[Path],
    traces: Path | None = None,
) -> str:
    """The whole report.

    Args:
        pictures: relative to the report.
        traces: the page of traces, too.
    """
    return "\n".join(
        [
            f"# {found.name[:1].upper()}{found.name[1:]}",
            "",
            *_opening(results, found),
            "## In plain words",
            "",
            *table(("the claim", "", "by"), claim, words=3),
            *(line for one in answers for line in _answer(one)),
            *(line for picture in pictures for line in (f"![{_title(picture)}]({picture.as_posix()})", "")),
            *([f"[The first seed's traces, side by side]({traces.as_posix()})", ""] if traces else []),
            "## Figures",
            "",
            _STARS,
            "",
            *_curves(found),
            *_contrasts("What decides: the target at the main rate", found.primary),
            *_contrasts("Side rates: the target", found.side),
            *_contrasts("Every arm on the target", found.every),
            *_contrasts("All other families at the last point", found.forgetting),
            *_contrasts("By family at the last point", found.by_family),
            *_gaps(found),
            *_contrasts("Other boundaries, and the ceiling, on the target", found.boundaries),
            *_dips(found),
            *_style(found),
            *_data(found.data),
            *_form(found.form),
            *_made(results),
        ]
    )


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, words: int = 1) -> list[str]:
    """A table in Markdown and the empty line behind it; its first columns are of words, the others of figures. Without
    rows there is none."""
    kept = [*rows]
    rule = "".join(" --- |" if place < words else " ---: |" for place in range(len(head)))
    return [_row(head), f"|{rule}", *map(_row, kept), ""] if kept else []


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _answer(one: Answer) -> list[str]:
    return [f"**{one.question}**", "", *(f"- {paragraph}" for paragraph in one.paragraphs), ""]


def _title(picture: Path) -> str:
    return picture.stem.replace("-", " ")


def _opening(results: Results, found: Findings) -> Iterator[str]:
    asked = ", ".join(f"{number} of {family}" for family, number in found.problems.items())
    yield (
        f"{many(len(found.arms), 'arm')}, seeds {', '.join(map(str, found.seeds)) or 'none'}, evaluated after"
        f" {', '.join(map(str, found.points))} steps at the main rate {rated(found.rate)}"
        + (f" (beside it: {', '.join(map(rated, found.rates[1:]))})" if found.rates[1:] else "")
        + f", on {asked or 'nothing yet'}. What is compared, by which tests, and what counts as the claim failing"
        " stands in docs/lab.md (The experiment), as it was fixed before the miniature was run."
    )
    yield ""
    yield from (f"- {line}" for line in found.missing)
    yield from [""] if found.missing else []


def _curves(found: Findings) -> Iterator[str]:
    """Right answers by point, with the least and most of the seeds behind them."""
    yield "### Right answers"
    yield ""
    yield "In the mean over seeds; in brackets the least and the most of a seed."
    yield ""
    rows: list[list[str]] = []
    for of in (found.target, OTHERS):
        base = found.score(BASE, found.rate, 0, of)
        if base is not None:
            rows.append([_of(found, of), BASE, "", f"{share(base.value)} at 0"] + [""] * (len(found.points) - 1))
        for rate in found.rates:
            for arm in found.arms:
                scores = [found.score(arm, rate, step, of) for step in found.points]
                if any(scores):
                    rows.append(
                        [_of(found, of), arm, rated(rate)]
                        + [
                            ""
                            if one is None
                            else f"{share(one.value)} ({share(min(one.seeds.values()))} to"
                            f" {share(max(one.seeds.values()))})"
                            for one in scores
                        ]
                    )
    yield from table(("on", "arm", "rate", *map(str, found.points)), rows, words=2)


def _contrasts(title: str, contrasts: Sequence[Contrast]) -> list[str]:
    rows = [
        [
            f"{one.first} less {one.second}",
            rated(one.rate),
            one.of,
            "curve" if one.step is None else str(one.step),
            f"{points(one.mean)}{star(one)}",
            between(one.low, one.high),
            chance(one.p),
            chance(one.adjusted),
            ", ".join(points(value) for value in one.seeds.values()),
        ]
        for one in contrasts
    ]
    head = ("difference", "rate", "on", "at", "points", "95% interval", "p", "corrected", "by seed")
    return [f"### {title}", "", *table(head, rows)] if rows else []


def _gaps(found: Findings) -> list[str]:
    if found.gap is None:
        return []
    whole = found.gap
    rows = [["nothing", f"{whole.first} less {whole.second}", _difference(whole), "", "", ""]]
    for gap in found.gaps:
        bounds = " to ".join("?" if bound is None else f"{bound:.0%}" for bound in (gap.low, gap.high))
        explained = "" if gap.share is None else f"{gap.share:.0%}"
        pair = f"{gap.left.first} less {gap.left.second}"
        gone = _difference(gap.gone)
        rows.append([gap.by, pair, _difference(gap.left), gone, explained, bounds if explained else ""])
    head = ("without", "the gap", "points", "is smaller by", "share of it", "95% interval")
    return ["### What explains the gap, in the mean of the curve", "", *table(head, rows)]


def _difference(one: Contrast) -> str:
    return f"{points(one.mean)}{star(one)} ({between(one.low, one.high)})"


def _dips(found: Findings) -> list[str]:
    rows = [
        [one.arm, rated(one.rate), str(one.step), share(one.value), points(one.mean), between(one.low, one.high)]
        for one in found.dips
    ]
    if not rows:
        return []
    said = "The lowest point of each curve on the target, less base; the interval holds whichever point is the lowest."
    head = ("arm", "rate", "lowest at", "right", "less base", "interval")
    return ["### Dips", "", said, "", *table(head, rows)]


def _style(found: Findings) -> list[str]:
    rows = [
        [LIKELIHOODS[one.measure], f"{one.rho:+.2f}", str(len(one.arms)), chance(one.p), chance(one.adjusted)]
        for one in found.style
    ]
    head = ("likelihood of the data under the base", "rank correlation with the dip", "arms", "p", "corrected")
    return ["### Likelihood and dip", "", *table(head, rows)] if rows else []


def _data(data: Sequence[Data]) -> Iterator[str]:
    if not data:
        return
    yield "### The data"
    yield ""
    yield "In the mean over seeds, left out over all of them. Likelihood is in nats a token under the base."
    yield ""
    parts = list(dict.fromkeys(name for one in data for name in one.shares))
    costs = list(dict.fromkeys(name for one in data for name in one.likelihood))
    yield from table(
        ("arm", "traces", "right", "left out", "rows", "right rows", "trained tokens", "thinking", "answer"),
        (
            [
                one.arm,
                f"{one.traces:.0f}",
                _maybe(one.right),
                ", ".join(f"{reason}: {number}" for reason, number in one.excluded.items()) or "none",
                f"{one.rows:.0f}",
                _maybe(one.right_rows),
                f"{one.tokens:,.0f}",
                f"{one.thinking:.1f}",
                f"{one.answer:.1f}",
            ]
            for one in data
        ),
    )
    for head, names, form in (("who wrote", parts, "{:.1%}"), ("nats a token", costs, "{:.3f}")):
        rows = [(one.arm, one.shares if names is parts else one.likelihood) for one in data]
        yield from table(
            (head, *names),
            (
                [arm, *(form.format(values[name]) if name in values else "-" for name in names)]
                for arm, values in rows
                if values
            ),
        )


def _form(form: Sequence[Form]) -> list[str]:
    names = list(dict.fromkeys(one.figure for one in form))
    rows = []
    for arm, rate, of in dict.fromkeys((one.arm, one.rate, one.of) for one in form):
        here = {one.figure: one for one in form if (one.arm, one.rate, one.of) == (arm, rate, of)}
        rows.append([arm, rated(rate), of, *(_figure(here.get(name)) for name in names)])
    if not rows:
        return []
    said = (
        "Trained students' own traces at the last point against the base's: mean over seeds (least to most). Where"
        " answers are greedy, a phrase that becomes a little likelier than another takes its place in all traces."
    )
    return ["### Form", "", said, "", *table(("arm", "rate", "on", *names), rows)]


def _figure(one: Form | None) -> str:
    return "-" if one is None else f"{one.mean:.3f} ({one.least:.3f} to {one.most:.3f})"


def _made(results: Results) -> Iterator[str]:
    yield "### How it was made"
    yield ""
    lines = [f"{name} {value}" for name, value in results.environment.items()]
    lines.append(f"{results.seconds / 60:.0f} minutes by the clock")
    lines += [f"{stage} {seconds / 60:.1f} minutes" for stage, seconds in results.stages.items()]
    yield "; ".join(lines) + "."


def _of(found: Findings, of: str) -> str:
    return "all others" if of == OTHERS else of


def _maybe(value: float | None) -> str:
    return "-" if value is None else share(value)
