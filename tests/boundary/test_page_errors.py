"""Every error in a rule page: one line that begins with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from antiphon.boundary import load
from antiphon.boundary.pagefile import load_page, shipped_pages
from antiphon.errors import PageError, UsageError

ERRORS = {
    "toml": ('lookahead = 2\n[[style]\nphrases = ["so"]\n', 2, "not valid TOML"),
    "toml cut off": ('lookahead = 2\n[[style]]\nphrases = ["so"', 3, "not valid TOML"),
    "unknown key": ('lookahead = 2\n\nopeners = ["so"]\n', 3, "unknown key 'openers'; known are extends, lookahead"),
    "unknown table": ('lookahead = 2\n[openers]\nx = ["so"]\n', 2, "unknown key 'openers'"),
    "unknown key in a group": (
        '[[style]]\nphrases = []\n[[style]]\nphrases = []\nplace = "x"\n',
        5,
        "unknown key 'place'",
    ),
    "look-ahead of the wrong type": ('lookahead = "2"\n', 1, "'lookahead' is a number of words from 0 to 8"),
    "look-ahead true": ("\nlookahead = true\n", 2, "'lookahead' is a number of words"),
    "look-ahead out of range": ("lookahead = 9\n", 1, "from 0 to 8"),
    "literal": ('literal = ["fences", "verse"]\n', 1, "'literal' is a list of some of fences, code"),
    "literal of the wrong type": ("literal = true\n", 1, "'literal' is a list"),
    "extends of the wrong type": ("lookahead = 1\nextends = 3\n", 2, "'extends' is the name or path of one page"),
    "extends nothing": ('extends = "generall"\n', 1, "no rule page is called 'generall'; there are code, general"),
    "extends a missing file": ('# x\nextends = "away.toml"\n', 2, "cannot be read"),
    "extends itself": ('extends = "page.toml"\n', 1, "extends itself"),
    "words not a table": ('words = ["so"]\n', 1, "'words' is a table of names"),
    "words empty": ("[words]\nx = []\n", 2, "'x' in [words] is not a list of words"),
    "words of two words": ('[words]\ny = ["so"]\nx = ["let me"]\n', 3, "holds something that is not one word"),
    "words with a mark": ('[words]\nx = ["so,"]\n', 2, "not one word without marks"),
    "words with a number": ("[words]\nx = [3]\n", 2, "not one word"),
    "name": ('[patterns]\n"a b" = "so"\n', 2, "a name is made of letters"),
    "pattern of the wrong type": ('[patterns]\nx = ["so"]\n', 2, "'x' in [patterns] is not a regular expression"),
    "bad regular expression": (
        '[words]\nx = ["so"]\n[patterns]\ny = "a"\nhum = "h(m"\n',
        5,
        "pattern 'hum': missing )",
    ),
    "group not a list": ('[style]\nphrases = ["so"]\n', 1, "'style' is a list of groups, each headed [[style]]"),
    "group not a table": ('capability = ["so"]\n', 1, "'capability' is a list of groups"),
    "place": (
        '[[style]]\nat = "start"\nphrases = []\n',
        2,
        "'at' is one or a list of opening, clause, after, anywhere",
    ),
    "places": ("[[style]]\nphrases = []\n[[style]]\nat = []\nphrases = []\n", 4, "'at' is one or a list of"),
    "confidence": ("[[capability]]\nphrases = []\nconfidence = 95\n", 3, "'confidence' is a probability from 0.5 to 1"),
    "confidence of the wrong type": ('[[style]]\nphrases = []\nconfidence = "high"\n', 3, "'confidence'"),
    "no phrases": ('[[style]]\nphrases = []\n[[style]]\nat = "after"\n', 3, "[[style]] needs 'phrases'"),
    "phrases of the wrong type": ('[[style]]\nphrases = "so"\n', 2, "needs 'phrases', a list of strings"),
    "empty phrase": ('[[style]]\nphrases = [\n  "so",\n  "",\n]\n', 4, "a phrase is empty"),
    "blank phrase": ('[[style]]\nphrases = [\n  "so",\n  "  ",\n]\n', 4, "a phrase is empty"),
    "phrase longer than the look-ahead allows": (
        'lookahead = 1\n[[style]]\nphrases = ["also"]\n[[style]]\nphrases = [\n  "let me",\n  "let me see",\n]\n',
        7,
        "'let me see' has 3 words; a look-ahead of 1 allows 2",
    ),
    "phrase of an unknown name": (
        '[[style]]\nphrases = ["so"]\n\n[[style]]\nphrases = ["a <b>"]\n',
        5,
        "speaks of <b>",
    ),
    "phrase with a number": ('[[style]]\nphrases = ["step 1"]\n', 2, "can never be found: 'literal' holds 'numbers'"),
    "phrase with an identifier": ('[[style]]\nphrases = ["user_id"]\n', 2, "'literal' holds 'identifiers'"),
    "phrase with a delimiter": ("[[style]]\nphrases = ['say \"so\"']\n", 2, "holds a delimiter"),
    "phrase with an empty alternative": ('[[style]]\nphrases = ["so|"]\n', 2, "has an empty alternative"),
}


@pytest.mark.parametrize(("text", "line", "message"), ERRORS.values(), ids=ERRORS)
def test_error_names_file_and_line(tmp_path, text, line, message):
    page = tmp_path / "page.toml"
    page.write_text(text, encoding="utf-8")
    with pytest.raises(PageError) as caught:
        load(str(page))
    assert str(caught.value).startswith(f"{page}:{line}: ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_error_in_the_page_that_is_extended(tmp_path):
    (tmp_path / "base.toml").write_text('[[style]]\nphrases = ["<x>"]\n')
    (tmp_path / "page.toml").write_text('extends = "base.toml"\n')
    with pytest.raises(PageError, match=r"base\.toml:2: '<x>' speaks of <x>"):
        load(str(tmp_path / "page.toml"))


@pytest.mark.parametrize(
    ("data", "message"), [(b"# a\n# b\xff\n", r":2: the rule page is not UTF-8"), (None, "cannot be read")]
)
def test_unreadable_file(tmp_path, data, message):
    page = tmp_path / "page.toml"
    if data is not None:
        page.write_bytes(data)
    with pytest.raises(PageError, match=message):
        load_page(str(page))


def test_path_that_no_file_system_has():
    with pytest.raises(PageError, match="cannot be read"):
        load("a\0b.toml")


def test_byte_order_mark_and_carriage_returns(tmp_path):
    page = tmp_path / "page.toml"
    page.write_bytes(b'\xef\xbb\xbflookahead = 0\r\n[[style]]\r\nphrases = ["so"]\r\n')
    assert load(str(page)).lookahead == 0


@pytest.mark.parametrize("name", shipped_pages())
def test_shipped_pages_load(name):
    assert 0 <= load(name).lookahead <= 2


def test_shipped_pages():
    assert {"code", "general", "math", "sql", "support"} <= set(shipped_pages())


def test_a_page_can_be_loaded_from_the_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("mine.toml").write_text('extends = "general"\n')
    assert load("mine.toml").lookahead == 2


PREDICTORS = {
    "nope": "is not default, a shipped page \\(code, general",
    "no_such_module:Name": "cannot be imported: No module named",
    "antiphon.boundary:Nope": "cannot be imported: there is no 'Nope' in",
    ":Name": "cannot be imported",
    "json:dumps": "cannot be made: TypeError",
    "json:dumps?x": "makes a str, not a BoundaryPredictor",
    "antiphon.boundary.base:BoundaryPredictor": "cannot be made: TypeError",
    "tests.boundary.test_page_errors:failing?so": "a setting so",
}


@pytest.mark.parametrize(("spec", "message"), PREDICTORS.items())
def test_predictors_that_cannot_be_loaded(spec, message):
    with pytest.raises(UsageError, match=message):
        load(spec)


def failing(argument):
    raise UsageError(f"a setting {argument}")


def test_predictor_of_ones_own():
    assert load("tests.boundary.test_page_errors:own?general").id == load("general").id


def own(argument):
    return load(argument)
