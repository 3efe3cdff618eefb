"""An evaluation's figures for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.padding import Padding
from rich.table import Table

from antiphon.cli.reading import first
from antiphon.cli.terminal import columned, show, visible, warn
from antiphon.plural import many
from antiphon.verify.result import Result

if TYPE_CHECKING:
    from antiphon.evaluation.report import Comparison, Contrast, Group, Lengths, Report
    from antiphon.evaluation.results import Evaluation
    from antiphon.statistics import Interval

_SAMPLING = ("temperature", "top_p", "top_k")
_WIDE = 28  # characters of a name in a table


def as_json(evaluation: Evaluation, report: Report) -> dict[str, Any]:
    """All figures, rates from 0 to 1."""
    return {
        "run": str(evaluation.directory),
        "variant": evaluation.variant.name,
        "model": evaluation.model,
        "sampling": _asked(evaluation).get("sampling"),
        "budget": evaluation.variant.shaping.get("budget"),
        "judges": evaluation.judges,
        **_group_json(report.whole),
        "by": report.by,
        "groups": [_group_json(group) for group in report.groups],
        "cut_off": dict(report.cut_off),
        "lengths": {
            "thinking": None if report.thinking is None else asdict(report.thinking),
            "answer": None if report.answer is None else asdict(report.answer),
            "estimated": not report.exact,
        },
        "cannot_judge": dict(report.cannot_judge),
        "failed": dict(report.failed),
        "uncounted": list(report.uncounted),
    }


def tell(evaluation: Evaluation, report: Report) -> None:
    """The same in the terminal."""
    whole = report.whole
    show(f"{visible(evaluation.name)}: {visible(evaluation.model)}")
    for line in (f"{many(whole.problems, 'problem')}, {many(whole.samples, 'sample')} counted", *_how(evaluation)):
        show(f"  {line}")
    if whole.rates:
        _show(_table("", "rate", "95% interval", "problems"), _rate_rows(whole))
    if report.groups:
        columns = (report.by or "", "problems", "samples", "pass@1", "95% interval", "no answer", "cut off")
        _show(_table(*columns), map(_group_row, report.groups))
    if whole.samples:
        counted = [(result, count) for result, count in whole.results.items() if result.counts]
        show(f"\n  {', '.join(f'{result.says} {_of(count, whole.samples)}' for result, count in counted)}")
    if report.cut_off:
        show(f"  cut off: {', '.join(f'{count} {status}' for status, count in report.cut_off.items())}")
    for name, lengths in (("thinking", report.thinking), ("answer", report.answer)):
        if lengths is not None:
            show(f"  tokens of {name}: {_length(lengths)}{'' if report.exact else ' (estimated)'}")
    left_out = [f"{count} {result.says}" for result, count in whole.results.items() if not result.counts]
    if left_out:
        warn(f"left out of the rates: {', '.join(left_out)}")
    for said, reasons in (("cannot be judged", report.cannot_judge), ("failed", report.failed)):
        for line in first([f"{count} x {reason}" for reason, count in reasons.items()], "reason"):
            warn(f"{said}: {line}")
    if report.uncounted:
        warn(f"problems without a sample that counts: {_named(report.uncounted)}")


def comparison_json(first_one: Evaluation, second: Evaluation, comparison: Comparison) -> dict[str, Any]:
    """A comparison's figures."""
    return {
        "a": {"run": first_one.name, "model": first_one.model},
        "b": {"run": second.name, "model": second.model},
        "pass": [_contrast_json(contrast) for contrast in comparison.whole],
        "by": comparison.by,
        "groups": [{"name": contrast.name, **_contrast_json(contrast)} for contrast in comparison.groups],
        "only_a": list(comparison.only_first),
        "only_b": list(comparison.only_second),
        "changed": list(comparison.changed),
    }


def tell_comparison(first_one: Evaluation, second: Evaluation, comparison: Comparison) -> None:
    """The same in the terminal."""
    how = [_how(evaluation) for evaluation in (first_one, second)]
    for letter, evaluation, lines in zip("AB", (first_one, second), how, strict=True):
        show(f"{letter}  {visible(evaluation.name)}: {visible(evaluation.model)}")
        for line in lines:
            show(f"   {line}")
    if how[0] != how[1]:
        warn("A and B were not asked or not judged alike: the difference is not the models' alone")
    columns = ("problems", "A", "B", "B - A", "95% interval", "p")
    _show(_table("", *columns), (_contrast_row(f"pass@{one.k}", one) for one in comparison.whole))
    if comparison.groups:
        _show(_table(comparison.by or "", *columns), (_contrast_row(one.name, one) for one in comparison.groups))
    for said, ids in (
        ("only in A", comparison.only_first),
        ("only in B", comparison.only_second),
        ("asked in other words", comparison.changed),
    ):
        if ids:
            warn(f"{many(len(ids), 'problem')} left out, {said}: {_named(ids)}")


def _asked(evaluation: Evaluation) -> Mapping[str, Any]:
    """What shaped the text of whoever wrote the answers."""
    shaping = evaluation.variant.shaping
    section: Mapping[str, Any] = shaping.get("student") or shaping.get("teacher") or {}
    return section


def _how(evaluation: Evaluation) -> list[str]:
    """How it was asked and judged, in lines."""
    shaping = evaluation.variant.shaping
    sampling, budget = _asked(evaluation).get("sampling") or {}, shaping.get("budget") or {}
    drawn = [f"{name.replace('_', '-')} {sampling[name]}" for name in _SAMPLING if name in sampling]
    lengths = [budget[name] for name in ("thinking", "answer") if isinstance(budget.get(name), int)]
    context = (evaluation.variant.about.get("student") or {}).get("context")
    fits = len(lengths) < 2 or not isinstance(context, int) or sum(lengths) <= context
    if not fits:
        lengths[0] = context - lengths[1]
    long = [f"at most {' + '.join(f'{length:,}' for length in lengths)} tokens of thinking and answer"]
    if not fits:
        long.append(f"the question among them: a context of {context:,}")
    judged = f"judged by {', '.join(evaluation.judges)}" if evaluation.judges else "not judged"
    return [", ".join(drawn) or "sampling unknown", *(long if len(lengths) == 2 else []), visible(judged)]


def _group_json(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "problems": group.problems,
        "samples": group.samples,
        "results": dict(group.results),
        "pass": [
            {"k": rate.k, "rate": rate.value, **rate.interval._asdict(), "problems": rate.problems}
            for rate in group.rates
        ],
    }


def _contrast_json(contrast: Contrast) -> dict[str, Any]:
    difference = contrast.difference
    return {
        "k": contrast.k,
        "problems": contrast.problems,
        "a": contrast.first,
        "b": contrast.second,
        "difference": difference.mean,
        **difference.interval._asdict(),
        "p": difference.p,
    }


def _rate_rows(group: Group) -> Iterator[Sequence[str]]:
    for rate in group.rates:
        yield f"pass@{rate.k}", f"{rate.value:.1%}", _interval(rate.interval), f"{rate.problems:,}"


def _group_row(group: Group) -> Sequence[str]:
    rate = next((rate for rate in group.rates if rate.k == 1), None)
    figures = ("-", "-") if rate is None else (f"{rate.value:.1%}", _interval(rate.interval))
    counts = (group.results.get(result, 0) for result in (Result.NO_ANSWER, Result.CUT_OFF))
    return _short(group.name), f"{group.problems:,}", f"{group.samples:,}", *figures, *(f"{n:,}" for n in counts)


def _contrast_row(name: str, contrast: Contrast) -> Sequence[str]:
    difference = contrast.difference
    return (
        _short(name),
        f"{contrast.problems:,}",
        f"{contrast.first:.1%}",
        f"{contrast.second:.1%}",
        f"{100 * difference.mean:+.1f}",
        _interval(difference.interval, signed=True),
        f"{difference.p:.2g}" if difference.p >= 0.001 else "<0.001",
    )


def _table(*columns: str) -> Table:
    return columned(*map(_short, columns), tight=True)


def _show(table: Table, rows: Iterable[Sequence[str]]) -> None:
    for row in rows:
        table.add_row(*row)
    show(Padding(table, (1, 0, 0, 2), expand=False))


def _interval(interval: Interval, *, signed: bool = False) -> str:
    form = "+.1f" if signed else ".1f"
    return f"{100 * interval.low:{form}} to {100 * interval.high:{form}}"


def _length(lengths: Lengths) -> str:
    return f"median {lengths.median:,.0f}, mean {lengths.mean:,.1f}, 9 in 10 up to {lengths.p90:,.0f}"


def _of(count: int, whole: int) -> str:
    return f"{count:,} ({count / whole:.1%})"


def _short(name: str) -> str:
    name = visible(name)
    return name if len(name) <= _WIDE else f"{name[: _WIDE - 3]}..."


def _named(ids: Sequence[str]) -> str:
    return f"{len(ids)} ({', '.join(first(list(ids), 'problem'))})"
