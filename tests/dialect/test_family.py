"""Family pages: what they say, and what is said of their errors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from antiphon.dialect import Message, Part, shipped_families, text_of
from antiphon.dialect.family import family, read_page
from antiphon.errors import DialectError
from tests.dialect.models import loaded, talk, user

PAGE = """\
# a small family
controls = ["<q>", "<a>"]
ends = ["<a>"]

[settings]
mood = "calm"

[prompt]
start = "Be {mood}."
system = "<q>s {content}"
user = "<q>{content}"
assistant = "<a>{content}"
reply = "<a>"

[history]
forget = "[/t]"
strip = " "

[thinking]
open = "[t]"
close = "[/t]"
"""


def page_at(folder: Path, text: str, name: str = "small.toml") -> str:
    path = folder / name
    path.write_text(text, "utf-8")
    return str(path)


def test_shipped_families_are_read() -> None:
    assert shipped_families() == [
        "chatml",
        "deepseek-r1",
        "gpt-oss",
        "phi-4-reasoning",
        "plain",
        "qwen3",
        "qwen3-thinking",
        "qwq",
        "template",
    ]
    for name in shipped_families():
        assert read_page(name).thinking.open


def test_a_page_of_ones_own(tmp_path: Path) -> None:
    dialect = loaded(page_at(tmp_path, PAGE), None, ["<q>", "<a>"])
    messages = talk(("system", "x"), ("user", "1"), ("assistant", "[t]no<q>[/t]  <a>2"), ("user", "{content} {mood}"))
    assert dialect.name == "small"
    assert dialect.prompt(messages) == (
        Part("Be calm."),
        Part("<q>", True),
        Part("s x"),
        Part("<q>", True),
        Part("1"),
        Part("<a>", True),
        Part("<a>2"),
        Part("<q>", True),
        Part("{content} {mood}"),
        Part("<a>", True),
        Part("[t]"),
    )


def test_a_page_extends_another(tmp_path: Path) -> None:
    page_at(tmp_path, PAGE)
    name = page_at(tmp_path, 'extends = "small.toml"\n[settings]\nmood = "brave"\n', "brave.toml")
    page, base = read_page(name), read_page(str(tmp_path / "small.toml"))
    assert text_of(family(page, "brave").render(user("?"))) == "Be brave.<q>?<a>"
    assert page.prompt == base.prompt
    assert page.fingerprint() != base.fingerprint()


def test_line_breaks_before_an_earlier_reply_go_with_its_thinking_or_always(tmp_path: Path) -> None:
    page_at(tmp_path, PAGE)
    always = page_at(tmp_path, 'extends = "small.toml"\n[history]\nstrip_always = true\n', "always.toml")
    messages = talk(("user", "1"), ("assistant", "  2"), ("user", "3"), ("assistant", "[/t]  4"), ("user", "5"))
    texts = [text_of(family(read_page(name), "x").render(messages)) for name in (str(tmp_path / "small.toml"), always)]
    assert texts == ["Be calm.<q>1<a>  2<q>3<a>4<q>5<a>", "Be calm.<q>1<a>2<q>3<a>4<q>5<a>"]


def test_the_fingerprint_covers_what_the_page_says_and_nothing_else(tmp_path: Path) -> None:
    one = read_page(page_at(tmp_path, PAGE))
    same = read_page(page_at(tmp_path, "# another comment\n" + PAGE, "same.toml"))
    assert one.fingerprint() == same.fingerprint()
    for old, new in [("calm", "brave"), ("Be ", "be "), ('"[t]"', '"[T]"'), ("[/t]", "[/T]"), ('ends = ["<a>"]', "")]:
        other = read_page(page_at(tmp_path, PAGE.replace(old, new, 1), "other.toml"))
        assert other.fingerprint() != one.fingerprint()


def test_harmony_says_the_date_and_the_effort_of_the_page(tmp_path: Path) -> None:
    name = page_at(
        tmp_path, 'extends = "gpt-oss"\n[settings]\ndate = "2031-02-03"\nreasoning_effort = "low"\n', "harmony.toml"
    )
    start = family(read_page(name), "harmony").render(talk(("system", "Be kind."), ("user", "?")))
    assert "Current date: 2031-02-03\n\nReasoning: low\n" in text_of(start)
    assert "<|start|>developer<|message|># Instructions\n\nBe kind.\n\n<|end|>" in text_of(start)


@pytest.mark.parametrize("name", ["gpt-oss", "deepseek-r1"])
def test_a_later_system_message_is_refused_where_the_family_has_none(name: str) -> None:
    with pytest.raises(DialectError, match="message 2: a system message can only be the first"):
        family(read_page(name), name).render(talk(("user", "1"), ("system", "2"), ("user", "3")))


@pytest.mark.parametrize("name", ["qwen3", "chatml", "plain"])
def test_a_later_system_message_stands_where_it_was_said(name: str) -> None:
    text = text_of(family(read_page(name), name).render(talk(("user", "one"), ("system", "two"), ("user", "three"))))
    assert text.index("one") < text.index("two") < text.index("three")


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ([], "the last message .* must be the user's"),
        (talk(("user", "1"), ("assistant", "2")), "the last message .* must be the user's"),
        (talk(("system", "1")), "the last message .* must be the user's"),
        (talk(("tool", "1"), ("user", "2")), "message 1 has the role 'tool'"),
    ],
)
def test_conversations_without_a_question_are_refused(messages: list[Message], said: str) -> None:
    with pytest.raises(DialectError, match=said):
        family(read_page("plain"), "plain").render(messages)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ('ends = ["<a>"]', 'ends = ["<a>"', 5, "not valid TOML"),
        ('ends = ["<a>"]', "ends = 3", 3, "ends: Input should be a valid list"),
        ('ends = ["<a>"]', 'ends = ["<a>", 3]', 3, "ends.1: Input should be a valid string"),
        ('ends = ["<a>"]', 'ends = ["<a>", " "]', 3, "ends: a control token cannot be blank"),
        ('ends = ["<a>"]', 'ends = ["<a>"]\nnext_turn = ["\\n"]', 4, "next_turn: what begins a turn cannot be blank"),
        ('ends = ["<a>"]', 'end = ["<a>"]', 3, "end: there is no such key"),
        ('mood = "calm"', "mood = [1]", 6, "settings.mood"),
        ('mood = "calm"', 'content = "calm"', 6, "settings.content: this name is taken"),
        ('mood = "calm"', 'date = "tomorrow"', 6, "settings.date: a day is written like 2026-01-31"),
        ('start = "Be {mood}."', 'start = "Be {modo}."', 9, "prompt.start: there is no setting 'modo'"),
        ('start = "Be {mood}."', 'start = "Be {content}."', 9, "prompt.start: {content} must stand nowhere in it"),
        ('user = "<q>{content}"', 'user = "<q>"', 11, "prompt.user: {content} must stand once in it"),
        ('user = "<q>{content}"', 'user = "{content}{content}"', 11, "prompt.user: {content} must stand once"),
        ('reply = "<a>"', "", 8, "prompt.reply: is missing"),
        ('reply = "<a>"', 'repyl = "<a>"\nreply = "<a>"', 13, "prompt.repyl: there is no such key"),
        ('open = "[t]"', 'open = " "', 20, "thinking.open: a marker cannot be blank"),
        ('close = "[/t]"', "close = true", 21, "thinking.close: Input should be a valid string"),
        ('close = "[/t]"', 'close = "[/t]"\nalso_close = [" "]', 22, "thinking.also_close: a control token cannot be"),
        ("[history]", "[histroy]", 15, "histroy: there is no such key"),
        ("# a small family", 'extends = "nowhere"', 1, None),
        ("# a small family", "extends = 3", 1, "extends is the name or the path of one page"),
        ("# a small family", 'extends = "small.toml"', 1, "a page cannot extend itself"),
    ],
)
def test_an_error_in_a_page_has_its_line(tmp_path: Path, old: str, new: str, line: int, said: str | None) -> None:
    assert old in PAGE
    name = page_at(tmp_path, PAGE.replace(old, new, 1))
    with pytest.raises(DialectError) as caught:
        read_page(name)
    if said is None:
        assert "no dialect is called 'nowhere'" in str(caught.value)
    else:
        assert str(caught.value).startswith(f"{name}:{line}: ")
        assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_error_stands_in_the_page_that_said_it(tmp_path: Path) -> None:
    base = page_at(tmp_path, PAGE.replace('reply = "<a>"', 'reply = "{x}"'))
    name = page_at(tmp_path, '# above\nextends = "small.toml"\n', "above.toml")
    with pytest.raises(DialectError, match=re.escape(f"{base}:13: prompt.reply")):
        read_page(name)


def test_a_page_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DialectError, match=r"none\.toml: the family page cannot be read: No such file"):
        read_page(str(tmp_path / "none.toml"))
    path = tmp_path / "latin.toml"
    path.write_bytes(b"# one\n# caf\xe9\n")
    with pytest.raises(DialectError, match=r"latin\.toml:2: the family page is not UTF-8"):
        read_page(str(path))
