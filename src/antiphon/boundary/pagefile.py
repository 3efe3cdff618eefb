"""Rule pages as TOML files: read, checked and compiled (`antiphon.boundary.page`).

The format is described in `docs/boundaries.md`. Every error names file and line.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from antiphon.boundary import region
from antiphon.boundary.lexeme import lexeme
from antiphon.boundary.page import Node, Page, Place, Rule
from antiphon.boundary.words import words
from antiphon.errors import PageError

REVISION = 1
"""Raised when a change of this code can change the verdicts of an unchanged page."""

MAX_LOOKAHEAD = 8
LITERAL = (*region.KINDS, "numbers", "identifiers")

_KEYS = ("extends", "lookahead", "literal", "words", "patterns", "style", "capability")
_GROUP_KEYS = ("at", "confidence", "phrases")
_NAMED = {"words": "list of words", "patterns": "regular expression, as a string"}
_PLACES = {place.name.lower(): place for place in Place}
_ELEMENT = re.compile(r"<([\w-]+)>(\W*)")


@dataclass(frozen=True, slots=True)
class _Phrase:
    text: str
    words: tuple[str, ...]
    rules: tuple[Rule, ...]  # one for each place
    error: Callable[[str], PageError]  # makes an error at the phrase's line


def shipped_pages() -> list[str]:
    """The names of the pages that come with the package."""
    folder = resources.files("antiphon.boundary") / "pages"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_page(name: str) -> Page:
    """Reads and compiles a page.

    Args:
        name: a shipped page's name or a path that ends in `.toml`.

    Raises:
        PageError: when the file cannot be read or has an error; the message begins with `file:line`.
    """
    draft = _Draft()
    draft.read(_Source.find(name, Path()))
    return draft.compile(Path(name).stem)


class _Source:
    """The text of one page; finds the line of what is wrong in it."""

    def __init__(self, label: str, text: str, folder: Path):
        self.label, self.folder = label, folder
        self._text, self._lines = text, text.split("\n")

    @classmethod
    def find(cls, name: str, folder: Path) -> _Source:
        """A shipped page by name, or a file relative to `folder`."""
        if not name.endswith(".toml"):
            if name not in shipped_pages():
                raise PageError(f"no rule page is called {name!r}; there are {', '.join(shipped_pages())}")
            data = (resources.files("antiphon.boundary") / "pages" / f"{name}.toml").read_bytes()
            return cls(f"{name}.toml", data.decode(), folder)
        path = folder / name
        try:
            return cls(str(path), path.read_text(encoding="utf-8-sig"), path.parent)
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise PageError(f"{path}:{line}: the rule page is not UTF-8; save it so") from error
        except (OSError, ValueError) as error:  # ValueError: a path that no file system has
            raise PageError(f"{path}: the rule page cannot be read: {error}") from error

    def error(self, message: str, *needles: str, nth: int = 0) -> PageError:
        """A `PageError` at the line that is found by looking for one needle (a regular expression) after the other,
        the first of them for the `nth` time."""
        line = 0
        for needle in needles:
            found = [n for n in range(line, len(self._lines)) if re.search(needle, self._lines[n])]
            line = found[min(nth, len(found) - 1)] if found else line
            nth = 0
        return PageError(f"{self.label}:{line + 1}: {message}")

    def parse(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            match = re.search(r"\(at line (\d+), column \d+\)", str(error))
            line = match.group(1) if match else len(self._lines)
            raise PageError(f"{self.label}:{line}: not valid TOML: {error}") from error


class _Draft:
    """A page being read, after the pages that it extends."""

    def __init__(self) -> None:
        self.lookahead = 2
        self.literal: tuple[str, ...] = LITERAL
        self.names: dict[str, tuple[str, ...] | re.Pattern[str]] = {}
        self.phrases: list[_Phrase] = []
        self._read: list[str] = []

    def read(self, source: _Source) -> None:
        """Adds a page, what it extends first."""
        if source.label in self._read:
            raise source.error(f"{source.label} extends itself", _key("extends"))
        self._read.append(source.label)
        table = source.parse()
        for key in table:
            if key not in _KEYS:
                raise source.error(f"unknown key {key!r}; known are {', '.join(_KEYS)}", _key(key))
        if "extends" in table:
            if not isinstance(table["extends"], str):
                raise source.error("'extends' is the name or path of one page", _key("extends"))
            try:
                parent = _Source.find(table["extends"], source.folder)
            except PageError as error:
                raise source.error(f"'extends': {error}", _key("extends")) from error
            self.read(parent)
        self._read_settings(source, table)
        self._read_names(source, table)
        for kind in ("style", "capability"):
            groups = table.get(kind, [])
            if not isinstance(groups, list) or not all(isinstance(group, dict) for group in groups):
                raise source.error(f"{kind!r} is a list of groups, each headed [[{kind}]]", _key(kind))
            for index, group in enumerate(groups):
                self._read_group(source, kind, index, group)

    def _read_settings(self, source: _Source, table: Mapping[str, Any]) -> None:
        lookahead = table.get("lookahead", self.lookahead)
        if type(lookahead) is not int or not 0 <= lookahead <= MAX_LOOKAHEAD:
            raise source.error(f"'lookahead' is a number of words from 0 to {MAX_LOOKAHEAD}", _key("lookahead"))
        self.lookahead = lookahead
        self.phrases = [phrase for phrase in self.phrases if len(phrase.words) <= lookahead + 1]
        literal = table.get("literal", self.literal)
        if not isinstance(literal, list | tuple) or not all(kind in LITERAL for kind in literal):
            raise source.error(f"'literal' is a list of some of {', '.join(LITERAL)}", _key("literal"))
        self.literal = tuple(literal)

    def _read_names(self, source: _Source, table: Mapping[str, Any]) -> None:
        for key, kind in (("words", list), ("patterns", str)):
            names = table.get(key, {})
            if not isinstance(names, dict):
                raise source.error(f"{key!r} is a table of names", _key(key))
            for name, value in names.items():
                where = (_key(key), _key(name))
                if not re.fullmatch(r"[\w-]+", name):
                    raise source.error(f"a name is made of letters, digits, - and _, not {name!r}", *where)
                if not isinstance(value, kind) or not value:
                    raise source.error(f"{name!r} in [{key}] is not a {_NAMED[key]}", *where)
                if isinstance(value, str):
                    try:
                        self.names[name] = re.compile(value)
                    except re.error as error:
                        raise source.error(f"pattern {name!r}: {error}", *where) from error
                elif all(isinstance(word, str) and _is_core(word) for word in value):
                    self.names[name] = tuple(value)
                else:
                    raise source.error(
                        f"{name!r} in [words] holds something that is not one word without marks", *where
                    )

    def _read_group(self, source: _Source, kind: str, index: int, group: Mapping[str, Any]) -> None:
        header = rf"^\s*\[\[\s*{kind}\s*\]\]|^\s*{kind}\s*="

        def error(message: str, *needles: str) -> PageError:
            return source.error(message, header, *needles, nth=index)

        for key in group:
            if key not in _GROUP_KEYS:
                raise error(f"unknown key {key!r} in [[{kind}]]; known are {', '.join(_GROUP_KEYS)}", _key(key))
        at = group.get("at", "anywhere")
        places = at if isinstance(at, list) else [at]
        if not places or not all(isinstance(place, str) and place in _PLACES for place in places):
            raise error(f"'at' is one or a list of {', '.join(_PLACES)}, not {at!r}", _key("at"))
        confidence = group.get("confidence", 0.9)
        if type(confidence) not in (int, float) or not 0.5 <= confidence <= 1:
            raise error("'confidence' is a probability from 0.5 to 1", _key("confidence"))
        phrases = group.get("phrases")
        if not isinstance(phrases, list) or not all(isinstance(phrase, str) for phrase in phrases):
            raise error(f"[[{kind}]] needs 'phrases', a list of strings", _key("phrases"))
        rules = tuple(Rule(_PLACES[place], kind == "style", float(confidence)) for place in places)
        for phrase in phrases:
            self.phrases.append(self._phrase(phrase, rules, error))

    def _phrase(self, text: str, rules: tuple[Rule, ...], error: Callable[[str, str], PageError]) -> _Phrase:
        def here(message: str) -> PageError:
            return error(message, f"[\"']{re.escape(text)}[\"']")

        parts = tuple(text[start:end] for start, end in words(text))
        if not parts:
            raise here("a phrase is empty")
        allowed = self.lookahead + 1
        if len(parts) > allowed:
            raise here(
                f"{text!r} has {len(parts)} words; a look-ahead of {self.lookahead} allows {allowed} "
                "(put what may follow in a group with at = \"after\", or raise 'lookahead')"
            )
        return _Phrase(text, parts, rules, here)

    def compile(self, name: str) -> Page:
        """Puts all phrases into one trie.

        Raises:
            PageError: for a phrase that names what is not there or can never be found.
        """
        root = Node()
        for phrase in self.phrases:
            root.add([list(self._keys(phrase, word)) for word in phrase.words], phrase.rules)
        return Page(
            name,
            self.lookahead,
            frozenset(self.literal),
            self._lists(),
            {f"<{k}>": v for k, v in self.names.items() if isinstance(v, re.Pattern)},
            root,
            self._digest(),
        )

    def _lists(self) -> dict[str, tuple[str, ...]]:
        holders: dict[str, list[str]] = {}
        for name, named in self.names.items():
            for word in named if isinstance(named, tuple) else ():
                holders.setdefault(lexeme(word).core, []).append(f"<{name}>")
        return {core: tuple(names) for core, names in holders.items()}

    def _digest(self) -> str:
        content = [
            REVISION,
            self.lookahead,
            sorted(self.literal),
            [(k, v.pattern if isinstance(v, re.Pattern) else v) for k, v in self.names.items()],
            [(p.text, p.rules) for p in self.phrases],
        ]
        return hashlib.sha256(repr(content).encode("utf-8", "backslashreplace")).hexdigest()

    def _keys(self, phrase: _Phrase, element: str) -> Iterator[str]:
        """The trie keys of one element of a phrase: `word`, `word|word` or `<name>`, each with or without a mark."""
        match = _ELEMENT.fullmatch(element)
        if match is not None:
            name, mark = match.groups()
            if name not in self.names:
                raise phrase.error(f"{phrase.text!r} speaks of <{name}>, which neither [words] nor [patterns] has")
            yield f"<{name}>{lexeme(mark).mark}"
            return
        for word in element.split("|"):
            taken = lexeme(word)
            for kind, is_literal in (("numbers", taken.number), ("identifiers", taken.identifier)):
                if is_literal and kind in self.literal:
                    raise phrase.error(f"{phrase.text!r} can never be found: 'literal' holds {kind!r}")
            if region.has_delimiter(word):
                raise phrase.error(
                    f"{phrase.text!r} can never be found: it holds a delimiter of code, formula or quote"
                )
            if not taken.core and not taken.mark:
                raise phrase.error(f"{phrase.text!r} has an empty alternative")
            yield taken.core + taken.mark


def _is_core(word: str) -> bool:
    return len(words(word)) == 1 and lexeme(word).mark == ""


def _key(name: str) -> str:
    """A needle for the line where a key or table begins."""
    return rf"^\s*\[*\s*[\"']?{re.escape(name)}[\"']?\s*[\]=.]"
