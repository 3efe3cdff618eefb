"""Family pages: how a model family speaks, as data. The format is described in `docs/dialects.md`."""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import date
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from antiphon.dialect.base import Dialect, Message, Part, joined, require_conversation, split
from antiphon.errors import DialectError

REVISION = 1
"""Raised when a change of this code can change the parts made from an unchanged page."""

_SLOT = re.compile(r"\{(\w+)\}")
_CONTENT = "content"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Prompt(_Table):
    """`[prompt]`: what stands around the contents of a conversation."""

    start: str = ""
    system: str
    user: str
    assistant: str
    reply: str
    system_only_first: bool = False
    omit_empty_system: bool = False


class History(_Table):
    """`[history]`: what of an earlier reply is left out."""

    forget: str = ""
    strip: str = ""
    strip_always: bool = False


class Thinking(_Table):
    """`[thinking]`: the markers around it, and what opens the answer."""

    open: str
    in_prompt: bool = False
    close: str
    also_close: list[str] = Field(default_factory=list)
    answer: str = ""


class Page(_Table):
    """A family page, pages that it extends included. Without `prompt` the model's own chat template writes it."""

    controls: list[str] = Field(default_factory=list)
    ends: list[str] = Field(default_factory=list)
    next_turn: list[str] = Field(default_factory=list)
    follows_template: bool = True
    settings: dict[str, str | bool | int] = Field(default_factory=dict)
    prompt: Prompt | None = None
    history: History = History()
    thinking: Thinking

    def fingerprint(self, *others: Any) -> str:
        """A hash of what the page says (comments and order do not matter) and of `others`, which JSON can hold."""
        content = json.dumps([REVISION, self.model_dump(mode="json"), *others], sort_keys=True)
        return hashlib.sha256(content.encode("ascii")).hexdigest()


def shipped_families() -> list[str]:
    """The names of the pages that come with the package."""
    folder = resources.files("antiphon.dialect") / "families"
    return sorted(entry.name[:-5] for entry in folder.iterdir() if entry.name.endswith(".toml"))


def read_page(name: str) -> Page:
    """Reads a family page.

    Args:
        name: a shipped page's name, or a path that ends in `.toml`.

    Raises:
        DialectError: it cannot be read or has an error; the message begins with `file:line`.
    """
    return _read_file(name) if name.endswith(".toml") else _read_shipped(name)


@cache
def _read_shipped(name: str) -> Page:
    return _read_file(name)


def _read_file(name: str) -> Page:
    draft = _Draft()
    draft.read(_Source.find(name, Path()), ())
    return draft.page()


class _Source:
    """The text of one page; finds the line of what is wrong in it."""

    def __init__(self, label: str, text: str, folder: Path):
        self.label, self.text, self.folder = label, text, folder

    @classmethod
    def find(cls, name: str, folder: Path) -> _Source:
        """A shipped page by name, or a file relative to `folder`."""
        if not name.endswith(".toml"):
            if name not in shipped_families():
                raise DialectError(
                    f"no dialect is called {name!r}; there are auto, {', '.join(shipped_families())},"
                    " or the path of a page of your own (.toml)"
                )
            data = resources.files("antiphon.dialect") / "families" / f"{name}.toml"
            return cls(f"{name}.toml", data.read_text("utf-8"), folder)
        path = folder / name
        try:
            return cls(str(path), path.read_text("utf-8-sig"), path.parent)
        except OSError as error:
            raise DialectError(f"{path}: the family page cannot be read: {error.strerror}") from None
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise DialectError(f"{path}:{line}: the family page is not UTF-8; save it so") from None

    def error(self, message: str, place: Sequence[str | int] = ()) -> DialectError:
        """An error at the line of a key: a top-level one, or a table and a key in it."""
        names = [str(name) for name in place]
        lines = self.text.split("\n")
        line = 0
        if len(names) > 1:
            line = next((n for n, text in enumerate(lines) if text.strip() == f"[{names[0]}]"), line)
        for name in reversed(names):
            key = re.compile(rf"\s*(\[\s*)?[\"']?{re.escape(name)}[\"']?\s*[=.\]]")
            found = next((n for n in range(line, len(lines)) if key.match(lines[n])), None)
            if found is not None:
                line = found
                break
        return DialectError(f"{self.label}:{line + 1}: {message}")


class _Draft:
    """The data of a page and of those it extends, and where each value was said."""

    def __init__(self) -> None:
        self._data: dict[str, Any] = {}
        self._said: dict[tuple[str, ...], _Source] = {}

    def read(self, source: _Source, within: tuple[str, ...]) -> None:
        self._top = source
        try:
            data = tomllib.loads(source.text)
        except tomllib.TOMLDecodeError as error:
            found = re.search(r" \(at line (\d+), column \d+\)", str(error))
            line = int(found[1]) if found else source.text.count("\n") + 1
            message = str(error).replace(found[0], "") if found else str(error)
            raise DialectError(f"{source.label}:{line}: not valid TOML: {message}") from None
        if (base := data.pop("extends", None)) is not None:
            if not isinstance(base, str):
                raise source.error("extends is the name or the path of one page", ("extends",))
            if source.label in within:
                raise source.error("a page cannot extend itself", ("extends",))
            self.read(_Source.find(base, source.folder), (*within, source.label))
            self._top = source
        for key, value in data.items():
            if isinstance(value, Mapping) and isinstance(self._data.setdefault(key, {}), dict):
                self._data[key] |= value
                self._said |= {(key, inner): source for inner in value}
            else:
                self._data[key] = value
            self._said[key,] = source

    def page(self) -> Page:
        try:
            page = Page.model_validate(self._data)
        except ValidationError as error:
            problem = error.errors()[0]
            place = tuple(str(name) for name in problem["loc"])
            raise self._error(f"{'.'.join(place)}: {_explanation(problem['type'], problem['msg'])}", place) from None
        self._check(page)
        return page

    def _check(self, page: Page) -> None:
        """What types cannot say."""
        lists = {"controls": page.controls, "ends": page.ends, "thinking.also_close": page.thinking.also_close}
        for name, tokens in lists.items():
            if not all(token.strip() for token in tokens):
                raise self._error(f"{name}: a control token cannot be blank", tuple(name.split(".")))
        if not all(text.strip() for text in page.next_turn):
            raise self._error("next_turn: what begins a turn cannot be blank", ("next_turn",))
        if _CONTENT in page.settings:
            raise self._error("settings.content: this name is taken", ("settings", _CONTENT))
        if (day := page.settings.get("date")) is not None:
            try:
                date.fromisoformat(str(day))
            except ValueError:
                raise self._error("settings.date: a day is written like 2026-01-31", ("settings", "date")) from None
        for key in ("open", "close"):
            if not getattr(page.thinking, key).strip():
                raise self._error(f"thinking.{key}: a marker cannot be blank", ("thinking", key))
        if page.prompt is None:
            return
        for key in ("start", "system", "user", "assistant", "reply"):
            slots = _SLOT.findall(getattr(page.prompt, key))
            wanted = int(key not in ("start", "reply"))
            if slots.count(_CONTENT) != wanted:
                many = "once" if wanted else "nowhere"
                raise self._error(f"prompt.{key}: {{content}} must stand {many} in it", ("prompt", key))
            for slot in slots:
                if slot != _CONTENT and slot not in page.settings:
                    raise self._error(f"prompt.{key}: there is no setting {slot!r}", ("prompt", key))

    def _error(self, message: str, place: tuple[str, ...]) -> DialectError:
        source = self._said.get(place[:2]) or self._said.get(place[:1]) or self._top
        return source.error(message, place[:2])


def _explanation(kind: str, message: str) -> str:
    if kind == "extra_forbidden":
        return "there is no such key"
    return "is missing" if kind == "missing" else message


def family(page: Page, name: str) -> Dialect:
    """The dialect of a page that has a `[prompt]`; `name` is for the record."""
    assert page.prompt is not None
    return dialect_of(page, name, _renderer(page, page.prompt), page.fingerprint())


def dialect_of(
    page: Page, name: str, render: Callable[[Sequence[Message]], tuple[Part, ...]], fingerprint: str
) -> Dialect:
    """A dialect with the page's markers and ends around a way to render."""
    thinking = page.thinking
    close = markers(thinking.close, page.controls)
    token = next((part.text for part in close if part.control), None)
    return Dialect(
        name=name,
        render=render,
        think_open=markers(thinking.open, page.controls),
        think_close=close,
        answer_open=markers(thinking.answer, page.controls),
        ends=tuple(page.ends),
        close_token=token,
        close_text=thinking.close.strip() if token is None else None,
        also_close=tuple(thinking.also_close),
        next_turn=tuple(page.next_turn),
        prompt_opens_thinking=thinking.in_prompt,
        follows_template=page.follows_template,
        settings=page.settings,
        fingerprint=fingerprint,
    )


def markers(text: str, controls: Collection[str]) -> tuple[Part, ...]:
    """The parts of a marker. A textual one stands apart from the blanks around it, so that `Dialect.bound` finds it."""
    parts = split(text, controls)
    core = text.strip()
    if not core or any(part.control for part in parts):
        return parts
    before, after = text.split(core, 1)
    return tuple(Part(piece) for piece in (before, core, after) if piece)


def _renderer(page: Page, prompt: Prompt) -> Callable[[Sequence[Message]], tuple[Part, ...]]:
    def compiled(text: str) -> tuple[Part, ...]:
        return split(_SLOT.sub(lambda slot: str(page.settings[slot[1]]), text), page.controls)

    around = {}
    for role in ("system", "user", "assistant"):
        before, after = getattr(prompt, role).split(f"{{{_CONTENT}}}")
        around[role] = compiled(before), compiled(after)
    start, reply = compiled(prompt.start), compiled(prompt.reply)

    def render(messages: Sequence[Message]) -> tuple[Part, ...]:
        require_conversation(messages)
        parts = list(start)
        for number, message in enumerate(messages):
            role, content = message["role"], message["content"]
            if role == "system":
                if number > 0 and prompt.system_only_first:
                    raise DialectError(f"message {number + 1}: a system message can only be the first here")
                if not content and prompt.omit_empty_system:
                    continue
            elif role == "assistant":
                content = _remembered(content, page.history)
            before, after = around[role]
            parts += (*before, Part(content), *after)
        return joined((*parts, *reply))

    return render


def _remembered(reply: str, history: History) -> str:
    """What the family's template keeps of an earlier reply."""
    if history.forget and history.forget in reply:
        reply = reply.rpartition(history.forget)[2]
    elif not history.strip_always:
        return reply
    return reply.lstrip(history.strip)
