"""Where style ends and capability begins: the predictors, and how to name one."""

from __future__ import annotations

import importlib
from pathlib import Path

from antiphon import own
from antiphon.boundary.base import BoundaryPredictor
from antiphon.boundary.pagefile import load_page, shipped_pages
from antiphon.boundary.rules import RulesPredictor
from antiphon.errors import ModelError, SettingsError

__all__ = ["load"]

_SMALL = "default"
_KINDS = {"tagger": "antiphon.boundary.tagger:Tagger", _SMALL: "antiphon.boundary.default.predictor:SmallPredictor"}
"""Kinds of trained predictors, each a class with `from_spec`; it is imported when one is loaded."""


def load(spec: str) -> BoundaryPredictor:
    """The predictor that a setting names.

    Args:
        spec: `default`, the trained one that ships; the name of a shipped rule page (`general`, `code`, `math` ...);
            the path of a page (it ends in `.toml`); the folder of a predictor or its name at the Hugging Face hub;
            `remote:URL?tokenizer=DIR`; or `package.module:Name`, with `?argument` if `Name` takes one
            (`antiphon.boundary.base`). `default` and folders take options, `NAME?threshold=0.6&...`: those of
            `antiphon.boundary.default.predictor.SmallPredictor.load` and `antiphon.boundary.tagger.Tagger.load`; those
            of a server are in `antiphon.boundary.remote`.

    Raises:
        PageError: when a page is missing or has an error.
        ModelError: when a predictor of a folder or server cannot be used.
        SettingsError: for a name that is none of these, an unknown option, and for an import path that cannot be
            imported or called, or makes something that is not a `BoundaryPredictor`.
        MissingDependency: when a folder's predictor needs the extra `local`.
    """
    path, _, argument = spec.partition("?")
    if spec.endswith(".toml"):
        return RulesPredictor(load_page(spec))
    if path == _SMALL:
        return _of_kind(_SMALL, spec)
    if path.startswith("remote:"):
        from antiphon.boundary.remote import RemoteTagger

        return RemoteTagger.from_spec(spec)
    if path not in shipped_pages() and (Path(path).expanduser().is_dir() or ("/" in path and ":" not in path)):
        return _from_folder(spec)
    if ":" in path:
        return _import(spec, path, argument)
    if spec not in shipped_pages():
        raise SettingsError(
            f"boundary {spec!r} is not {_SMALL}, a shipped page ({', '.join(shipped_pages())}), a path that ends in "
            ".toml, a folder, remote:URL, or package.module:Name"
        )
    return RulesPredictor(load_page(spec))


def _from_folder(spec: str) -> BoundaryPredictor:
    """A predictor that was trained, of the kind that its config.json says."""
    from antiphon.boundary.checkpoint import find_folder, kind_of

    folder = find_folder(spec.partition("?")[0])
    kind = kind_of(folder)
    if kind not in _KINDS:
        raise ModelError(
            f"{folder}: a predictor of the kind {kind!r}, which this version does not know; "
            "update it, or train one anew"
        )
    return _of_kind(kind, spec)


def _of_kind(kind: str, spec: str) -> BoundaryPredictor:
    module, _, name = _KINDS[kind].partition(":")
    made: BoundaryPredictor = getattr(importlib.import_module(module), name).from_spec(spec)
    return made


def _import(spec: str, path: str, argument: str) -> BoundaryPredictor:
    what = f"boundary {spec!r}"
    arguments = (argument,) if "?" in spec else ()
    predictor = own.made(own.named(path, what, SettingsError), what, SettingsError, *arguments)
    if not isinstance(predictor, BoundaryPredictor):
        raise SettingsError(f"{what} makes a {type(predictor).__name__}, not a BoundaryPredictor")
    return predictor
