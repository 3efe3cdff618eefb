"""From a name to a dialect that fits a model."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

from antiphon.dialect.base import Dialect
from antiphon.dialect.check import differences
from antiphon.dialect.family import Page, family, read_page, shipped_families
from antiphon.dialect.template import template_dialect
from antiphon.errors import DialectError

AUTO, TEMPLATE, PLAIN = "auto", "template", "plain"


def load(
    name: str,
    *,
    template: str | None,
    has_control: Callable[[str], bool] | None,
    controls: Collection[str] | None,
    special_tokens: Mapping[str, str] | None = None,
    model_name: str = "",
) -> Dialect:
    """The dialect for one model, bound to it.

    `auto` takes, of the families whose control tokens the model has, those with the most first, the first that writes
    every conversation of `antiphon.dialect.check` as the model's chat template does, and the template itself if none
    does. Without a template the first of these families is taken, and `plain` if there is none, or if nothing is known
    of the model's control tokens either.

    Args:
        name: `auto`, a shipped family, or the path of a family page (`.toml`).
        template: the model's own chat template, None if it has none.
        has_control: whether the model has a control token of this spelling; None where nobody can tell (a server of
            text only): the tokens that a page or a template names are taken to be there, and are written as spelled.
        controls: all its control tokens, None or empty where they cannot be listed.
        special_tokens: the tokenizer's special tokens by the names that templates use (`bos_token`, `eos_token` ...); a
            template that names one which is not here writes nothing in its place. `eos_token` is one of the ends.
        model_name: for errors.

    Raises:
        DialectError: no such family, a page with an error, a control token that the model does not have, a template
            that is missing, not valid or cannot be followed.
    """
    page = None if name == AUTO else read_page(name)
    try:
        if page is None:
            name = _found(template, has_control, special_tokens)
            page = read_page(name)
        return _load(page, Path(name).stem, template, has_control, controls, special_tokens)
    except DialectError as error:
        raise DialectError(f"{model_name}: {error}" if model_name else str(error)) from None


def _load(
    page: Page,
    name: str,
    template: str | None,
    has_control: Callable[[str], bool] | None,
    controls: Collection[str] | None,
    special_tokens: Mapping[str, str] | None,
) -> Dialect:
    for token in page.controls:
        if has_control is not None and not has_control(token):
            raise DialectError(f"the dialect {name!r} needs the control token {token!r}, which the model does not have")
    if page.prompt is not None:
        dialect = family(page, name)
    elif template is not None:
        dialect = template_dialect(
            page,
            name,
            template,
            has_control=has_control or (lambda token: True),
            controls=controls,
            special_tokens=special_tokens,
        )
    else:
        raise DialectError(f"the dialect {name!r} needs a chat template, and the model has none; choose 'plain'")
    ends = dialect.ends
    if has_control is None and page.prompt is not None and not page.controls:
        ends = ()  # such a page only guesses at the model's ends, and a guess like `</s>` may as well be HTML
    end = (special_tokens or {}).get("eos_token")
    if end is not None and end not in ends:
        ends = (*ends, end)
    if has_control is None:
        return replace(dialect, ends=ends)
    also_close = tuple(filter(has_control, dialect.also_close))
    return replace(dialect, ends=tuple(filter(has_control, ends)), also_close=also_close).bound(has_control)


def _found(
    template: str | None, has_control: Callable[[str], bool] | None, special_tokens: Mapping[str, str] | None
) -> str:
    """The name of the family that `auto` stands for."""
    if template is None and has_control is None:
        return PLAIN
    pages = {name: read_page(name) for name in shipped_families()}
    fitting = [name for name, page in pages.items() if _fits(page, has_control)]
    for name in sorted(fitting, key=lambda name: (-len(pages[name].controls), name)):
        if template is None or not differences(family(pages[name], name), template, special_tokens):
            return name
    return PLAIN if template is None else TEMPLATE


def _fits(page: Page, has_control: Callable[[str], bool] | None) -> bool:
    if page.prompt is None or not page.controls:
        return False
    return has_control is None or all(map(has_control, page.controls))
