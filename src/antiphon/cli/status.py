"""`antiphon status`: how a run stands, and whether its two models get on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from antiphon.cli import options
from antiphon.cli.terminal import columned, print_json, say, show, stdout, visible, warn
from antiphon.plural import many
from antiphon.trace import Author, Status, Usage

if TYPE_CHECKING:
    from antiphon.store import Reader, Totals, Variant
    from antiphon.store.several import Several

_EVIDENCE = 20  # turns of a role: of fewer, a pair that refuses 1 in 10 may seem to refuse each other by chance
_REFUSED = 1 / 4  # of the turns: more and the pair refuses each other
_FORCED = 1 / 20  # of the words
_CACHED, _OFTEN = 1 / 2, 6  # of the prompt tokens, where a trace goes to its server that often
_CAUSES = 8


def status(directories: options.RunDirectories, json: options.Json = False) -> None:
    """Shows how a run stands: traces, verdicts, tokens and shares by role.

    Example: antiphon status runs/one

    Several run directories, the shards of a run, are shown as one, with a line for each.

    Exit codes: 0 done, 2 wrong use.
    """
    from contextlib import ExitStack

    from antiphon.scale.merge import missing
    from antiphon.store import Reader
    from antiphon.store.several import Several

    with ExitStack() as opened:
        readers = [opened.enter_context(Reader(directory)) for directory in directories]
        whole = readers[0] if len(readers) == 1 else Several(readers)
        variants = [_facts(whole, variant) for variant in whole.variants()]
        problems = whole.problem_count()
        lines = [_line(reader) for reader in readers]
        lacking = [] if len(readers) == 1 and lines[0]["shard"] else missing(whole.shares())
        mixed = _mixed(readers)
    if json:
        found = {"problems": problems, "variants": variants, "missing": lacking, "mixed": mixed}
        print_json({**lines[0], **found} if len(lines) == 1 else {"runs": lines, **found})
        return
    _tell(lines, problems, variants)
    for line in lacking:
        say(line, style="bold red")
    for name in mixed:
        warn(f"variant {name} has different configurations in these directories; antiphon merge shows which")


def _line(reader: Reader) -> dict[str, Any]:
    """One run directory among others."""
    share, counts = reader.share(), reader.counts()
    return {
        "run": str(reader.directory),
        "shard": None if share is None else str(share.shard),
        "problems": reader.problem_count(),
        "traces": _by_status(counts),
    }


def _by_status(counts: Mapping[Status | None, int]) -> dict[str, int]:
    return {status or "pending": counts[status] for status in (*Status, None) if status in counts}


def _mixed(readers: Sequence[Reader]) -> list[str]:
    """Variants of one name and different configurations."""
    found: dict[str, set[str]] = {}
    for reader in readers:
        for variant in reader.variants():
            found.setdefault(variant.name, set()).add(variant.fingerprint)
    return [name for name, fingerprints in found.items() if len(fingerprints) > 1]


def _facts(reader: Reader | Several, variant: Variant) -> dict[str, Any]:
    from antiphon.cli.judging import facts

    counts = reader.counts(variant.name)
    totals = reader.totals(variant.name)
    roles = {role: _role(totals[role], variant.about.get(role, {})) for role in Author if role in totals}
    asked = reader.call_totals(variant.name)
    calls = {role: _call(usage, variant.about.get(role, {})) for role, usage in asked.items() if usage.requests}
    costs = [facts["cost"] for facts in (*roles.values(), *calls.values()) if facts["cost"] is not None]
    return {
        "name": variant.name,
        "method": variant.shaping.get("method"),
        "models": {role: variant.about[role].get("model") for role in Author if role in variant.about},
        "traces": _by_status(counts),
        "causes": reader.causes(variant.name),
        **facts(reader, variant.name),
        "roles": roles,
        "calls": calls,
        "cost": sum(costs) if costs else None,
        "shares": _shares(totals),
        "warnings": _warnings(totals, sum(counts.values())),
    }


def _cost(usage: Usage, about: Mapping[str, Any]) -> float | None:
    """At the prices of the last session, where the role had some."""
    from antiphon.synth.spend import Prices

    prices = about.get("prices")
    counts_tokens = about.get("counts_tokens", about.get("ids", True))
    return None if prices is None else Prices(**prices).cost(usage, ids=counts_tokens)


def _call(usage: Usage, about: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked of a role beside the traces (grades), and what that cost."""
    return {**asdict(usage), "cost": _cost(usage, about)}


def _role(total: Totals, about: Mapping[str, Any]) -> dict[str, Any]:
    """What a role did, and what that cost."""
    return {
        **asdict(total),
        "thrown_away": total.thrown_away,
        "cached_share": total.cached_share,
        "cost": _cost(total, about),
        "words_per_span": total.words / total.spans if total.spans and total.words else None,
    }


def _shares(totals: Mapping[Author, Totals]) -> dict[str, dict[str, float]]:
    """Each author's share of the words of thinking (those that were judged) and of all kept tokens."""
    shares = {}
    for measure in ("words", "kept"):
        amounts = {role: getattr(total, measure) for role, total in totals.items()}
        whole = sum(amounts.values())
        if whole:
            shares[measure] = {str(role): amount / whole for role, amount in amounts.items()}
    return shares


def _warnings(totals: Mapping[Author, Totals], traces: int) -> list[str]:
    """What a pair that refuses each other looks like, and a server that reads each prefix anew."""
    warnings = []
    for role, total in totals.items():
        if total.turns < _EVIDENCE:
            continue
        if total.refused / total.turns > _REFUSED:
            warnings.append(
                f"the {role} kept nothing in {total.refused / total.turns:.0%} of its turns: what it wants to write is "
                f"often the other's to write; look at some traces, and at the {role}'s boundary"
            )
        if total.words and total.forced / total.words > _FORCED:
            warnings.append(
                f"1 in {total.words / total.forced:.0f} words of the {role} was forced: both refused to go on; "
                "the two boundaries may contradict each other, or one model cannot read the other"
            )
        share = total.cached_share
        if share is not None and share < _CACHED and total.turns >= _OFTEN * traces:
            warnings.append(
                f"only {share:.0%} of the {role}'s prompt tokens came from its server's cache: most of a prefix is "
                "read again in every turn; antiphon doctor says what to change"
            )
    return warnings


def _tell(lines: Sequence[Mapping[str, Any]], problems: int, variants: Sequence[Mapping[str, Any]]) -> None:
    from rich.text import Text

    from antiphon.synth.spend import money

    console = stdout()
    for line in lines:
        shard = f", shard {line['shard']}" if line["shard"] else ""
        told = f"{visible(line['run'])}{shard}: {many(line['problems'], 'problem')}"
        if len(lines) > 1:
            console.print(f"{told}, {_counted(line['traces'])}", soft_wrap=True)
        else:
            console.print(told, style="bold", soft_wrap=True)
    if len(lines) > 1:
        console.print(f"together: {many(problems, 'problem')}", style="bold", soft_wrap=True)
    for facts in variants:
        models = ", ".join(_written_by(facts["models"]))
        console.print()
        console.print(Text.assemble((visible(facts["name"]), "bold"), f"  {models}"), soft_wrap=True)
        console.print(f"  {_counted(facts['traces'])}", soft_wrap=True)
        causes = list(facts["causes"].items())
        for cause, count in causes[:_CAUSES]:
            console.print(f"    {count:,} x {visible(cause)}", style="dim", soft_wrap=True)
        if len(causes) > _CAUSES:
            console.print(f"    and {many(len(causes) - _CAUSES, 'more cause')}", style="dim")
        if facts["pass_rate"] is not None:
            judged = ", ".join(f"{count:,} {result.says}" for result, count in facts["results"].items())
            console.print(f"  {judged}; {facts['pass_rate']:.1%} right of those that count", soft_wrap=True)
        if any(values["requests"] for values in facts["roles"].values()):
            console.print(_table(facts))
        for role, used in facts["calls"].items():
            paid = "" if used["cost"] is None else f", cost {money(used['cost'])}"
            console.print(
                f"  asked of the {role} beside the traces: {many(used['requests'], 'request')},"
                f" {many(used['received'], 'token')} received{paid}",
                soft_wrap=True,
            )
        for warning in facts["warnings"]:
            show(Text.assemble(("  warning: ", "bold yellow"), warning))


def _written_by(models: Mapping[str, str | None]) -> Iterator[str]:
    """The models by role; of what came from elsewhere that it did, and the model if one was named."""
    for role, model in models.items():
        if role == Author.UNKNOWN:
            yield "imported"
        if model is not None:
            yield visible(str(model)) if role == Author.UNKNOWN else f"{role} {visible(str(model))}"


def _counted(traces: Mapping[str, int]) -> str:
    by_status = ", ".join(f"{count:,} {status}" for status, count in traces.items())
    return f"{many(sum(traces.values()), 'trace')}{': ' if by_status else ''}{by_status}"


def _table(facts: Mapping[str, Any]) -> Any:
    from rich.padding import Padding

    from antiphon.synth.spend import money

    roles: dict[str, dict[str, Any]] = facts["roles"]
    table = columned("", *roles)
    in_turns = any(values["words"] for values in roles.values())
    for name, cell in (*_ROWS, *(_ROWS_IN_TURNS if in_turns else ())):
        table.add_row(name, *(cell(values) for values in roles.values()))
    if facts["cost"] is not None:
        costs = (values["cost"] for values in roles.values())
        table.add_row("cost", *("no price" if cost is None else money(cost) for cost in costs))
    for measure, name in (("words", "share of the words"), ("kept", "share of kept tokens")):
        shares = facts["shares"].get(measure)
        if shares:
            table.add_row(name, *(f"{shares[role]:.0%}" for role in roles))
    return Padding(table, (0, 0, 0, 2), expand=False)


def _of(part: int, whole: int) -> str:
    """A number and its share."""
    return f"{part:,} ({part / whole:.0%})" if whole else f"{part:,}"


_Row = tuple[str, Callable[[Mapping[str, Any]], str]]
_ROWS: tuple[_Row, ...] = (
    ("requests", lambda r: f"{r['requests']:,}"),
    ("tokens received", lambda r: f"{r['received']:,}"),
    ("tokens kept", lambda r: f"{r['kept']:,}"),
    ("thrown away", lambda r: _of(r["thrown_away"], r["received"])),
    ("turns", lambda r: f"{r['turns']:,}"),
    ("seconds", lambda r: f"{r['seconds']:,.1f}"),
    ("prompt tokens", lambda r: f"{r['prompt']:,}" if r["prompt"] else "not counted"),
    (
        "of them from cache",
        lambda r: "not told" if r["cached"] is None else _of(min(r["cached"], r["told"]), r["told"]),
    ),
)
_ROWS_IN_TURNS: tuple[_Row, ...] = (
    ("hand-overs, nothing kept", lambda r: _of(r["refused"], r["turns"])),
    ("words of thinking", lambda r: f"{r['words']:,}" if r["words"] else "-"),
    ("words per span", lambda r: f"{r['words_per_span']:.1f}" if r["words_per_span"] else "-"),
    ("forced words", lambda r: _of(r["forced"], r["words"])),
)
