"""`antiphon boundary evaluate`, `agree` and `show`: what they print, and every bad input in one clear line."""

from __future__ import annotations

import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest

from antiphon.boundary.making.marked import read_marked
from tests.boundary.making.texts import Learned
from tests.cli.conftest import MODELS, Command, write_lines
from tests.cli.pair import Pair
from tests.cli.test_bad_input import refused

SLICES: list[dict[str, Any]] = [
    {"id": "one", "problem_key": "p", "domain": "math", "model": "A", "marked": "⟦Okay, so⟧ 3+4=7. ⟦Let me check⟧ it."},
    {"id": "two", "problem_key": "q", "domain": "math", "model": "B", "marked": "⟦Wait,⟧ the sum is 7 and the rest 2."},
    {"id": "three", "problem_key": "r", "domain": "code", "model": "B", "text": "We loop over x.", "style": []},
]

TOLD = "tests.boundary.making.texts:Told"  # finds no style at all


@pytest.fixture
def slices(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "slices.jsonl", SLICES)


def evaluate(command: Command, *arguments: object, boundary: str = "general") -> Any:
    return command("boundary", "evaluate", "--boundary", boundary, *arguments)


# -- evaluate


def test_figures_for_people_fit_eighty_columns(command: Command, slices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    done = evaluate(command, "--data", slices, "--threshold-curve")
    assert done.code == 0
    assert all(len(line) <= 80 for line in done.out.splitlines())
    for said in ("look-ahead 2", "3 texts of 3 problems", "math", "code", "by model", "thrown away", "words/s", "0.50"):
        assert said in done.out


def test_the_worst_words_stand_in_their_text(command: Command, slices: Path) -> None:
    said = evaluate(command, "--data", slices, boundary=TOLD).out
    assert "one, math, the teacher's with 0.90: ⟦Okay,⟧ so 3+4=7." in said


def test_figures_for_programs(command: Command, slices: Path) -> None:
    found = evaluate(command, "--data", slices, "--threshold-curve", "--json").json
    assert found["boundary"].startswith("rules:general:") and found["lookahead"] == 2
    assert (found["texts"], found["problems"], found["shared_problems"]) == (3, 3, [])
    online, whole = found["online"], found["whole"]
    assert whole["counts"]["words"] == 20 and whole["counts"]["true"] == 6
    assert online["counts"]["words"] == 11
    assert whole["style_f1"] == pytest.approx(
        2 * whole["counts"]["right"] / (whole["counts"]["given"] + whole["counts"]["true"])
    )
    low, high = whole["intervals"]["style_f1"]
    assert low <= whole["style_f1"] <= high
    assert set(found["by_domain"]) == {"math", "code"} and set(found["by_model"]) == {"A", "B"}
    assert found["by_domain"]["code"]["whole"]["recall"] is None, "there is none to be found"
    assert found["replay"]["kept"] == 11
    assert found["replay"]["per_100_kept"]["thrown"] == pytest.approx(100 * found["replay"]["thrown"] / 11)
    assert found["words_per_second"]["online"] > 0
    assert [point["threshold"] for point in found["threshold_curve"]][::8] == [0.1, 0.5, 0.9]
    assert evaluate(command, "--data", slices, "--json").json["online"] == online, "the same every time"


def test_spans_out_can_be_counted_again(command: Command, slices: Path, tmp_path: Path) -> None:
    path = tmp_path / "said.jsonl"
    found = evaluate(command, "--data", slices, "--spans-out", path, "--json").json
    said = read_marked(path)
    gold = {item.id: item for item in read_marked(slices)}
    assert [item.id for item in said] == [record["id"] for record in SLICES]
    right = given = words = 0
    for item in said:
        true = gold[item.id]
        assert (item.text, item.problem_key) == (true.text, true.problem_key)
        due = item.fields["words_online"]
        words += due
        given += sum(item.classes)
        right += sum(a and b for a, b in zip(item.classes[:due], true.classes, strict=False))
    counts = found["online"]["counts"]
    assert (words, given, right) == (counts["words"], counts["given"], counts["right"])
    whole = write_lines(
        tmp_path / "whole.jsonl",
        [{"id": item.id, "text": item.text, "style": item.fields["style_whole"]} for item in said],
    )
    assert command("boundary", "agree", slices, whole, "--json").json["style_f1"] == found["whole"]["style_f1"]


def test_whole_traces_without_marks(command: Command, tmp_path: Path) -> None:
    traces = write_lines(
        tmp_path / "traces.jsonl",
        [
            {"problem": "3+4?", "response": "<think>\nOkay, so 3+4=7.\n</think>\n7"},
            {"problem": "1?", "response": "<think>\nWait, it is 1.\n</think>\n1"},
        ],
    )
    found = evaluate(command, "--traces", traces, "--json").json["traces"]
    assert (found["texts"], found["kept"], found["wrong"]) == (2, 7, 0)
    assert found["thrown"] > 0
    assert "2 whole traces of 7 words" in evaluate(command, "--traces", traces).out


def test_a_run_is_shown_to_another_predictor(command: Command, pair: Pair, problems: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert command("synth", problems, "--run", run, *MODELS, "--keep-rejected").code == 0
    same = evaluate(command, "--run", run, "--json", boundary="lab").json["run"]
    assert same["moved"] == [] and same["turns"]["student"] > 0 and same["left_out"] == 0
    other = evaluate(command, "--run", run, "--json").json["run"]
    assert {moved["by"] for moved in other["moved"]} == {-2, -4}
    assert "okay, so" in {moved["between"].strip() for moved in other["moved"]}
    said = evaluate(command, "--run", run).out
    assert "cut elsewhere" in said and "earlier" in said


def test_a_run_that_did_not_keep_what_was_rolled_back(command: Command, finished: Path) -> None:
    refused(evaluate(command, "--run", finished), "--keep-rejected")


def test_22_problems_of_the_training_are_refused(command: Command, slices: Path, tmp_path: Path) -> None:
    train = write_lines(tmp_path / "train.jsonl", SLICES[1:])
    on = ("--data", slices, "--trained-on", train)
    refused(
        evaluate(command, *on),
        f"{slices}: the predictor was trained on the problems of 2 of 3 texts",
        "(q, r)",
        "--allow-shared",
    )
    allowed = evaluate(command, *on, "--allow-shared", "--json")
    assert allowed.json["shared_problems"] == ["q", "r"]
    assert "2 problems" in allowed.err and "too good" in allowed.err


def test_22_problems_that_a_predictor_says_it_was_trained_on_are_refused(command: Command, tmp_path: Path) -> None:
    data = write_lines(tmp_path / "d.jsonl", [{"id": "x", "problem_key": "one", "marked": "⟦So⟧ it is"}])
    assert Learned.trained_on
    refused(evaluate(command, "--data", data, boundary="tests.boundary.making.texts:Learned"), "1 of 1 text ", "(one)")


def test_a_predictor_that_breaks_its_contract(command: Command, slices: Path) -> None:
    done = evaluate(command, "--data", slices, boundary="tests.boundary.making.texts:Mute")
    assert done.code == 3
    assert "boundary told:" in done.err and "verdicts on a text" in done.err


def test_what_evaluate_needs(command: Command, slices: Path, tmp_path: Path) -> None:
    refused(evaluate(command), "--data PATH, --traces PATH or --run DIR")
    refused(command("boundary", "evaluate", "--data", slices), "--boundary")
    refused(evaluate(command, "--data", slices, boundary="maths"), "maths")
    refused(evaluate(command, "--data", slices, "--spans-out", tmp_path / "x.csv"), ".jsonl")
    refused(evaluate(command, "--data", slices, "--spans-out", tmp_path / "no" / "x.jsonl"), "there is no folder")
    refused(evaluate(command, "--run", tmp_path), "not a run directory")
    refused(evaluate(command, "--traces", slices), "no trace with thinking")


# -- agree


def test_two_annotators(command: Command, slices: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.txt"
    other.write_text(
        "=== three\nWe ⟦loop⟧ over y.\n"
        "=== two problem_key=q domain=math\n⟦Wait,⟧ the sum is 7 ⟦and⟧ the rest 2.\n"
        "=== one domain=math\n⟦Okay, so⟧ 3+4=7. ⟦Let me check it.⟧\n"
        "=== four\nAnother.\n"
    )
    done = command("boundary", "agree", slices, other, "--json")
    found = done.json
    assert "their texts differ in the two files: three" in done.err
    assert (found["texts"], found["only_first"], found["only_second"], found["differing"]) == (2, 0, 1, ["three"])
    assert found["counts"]["right"] == 6 and found["counts"]["given"] == 8
    assert found["style_f1"] == pytest.approx(12 / 14)
    assert {word["word"] for word in found["disputed"]} == {"and", "it"}
    said = command("boundary", "agree", slices, other).out
    assert "2 texts in common" in said and "0.857" in said


def test_annotators_without_a_text_in_common(command: Command, slices: Path, tmp_path: Path) -> None:
    other = write_lines(tmp_path / "o.jsonl", [{"id": "x", "text": "a", "style": []}])
    refused(command("boundary", "agree", slices, other), "no text in common")


# -- show


def test_a_text_is_legible_without_colour(command: Command, slices: Path) -> None:
    done = command("boundary", "show", slices, "one", "--boundary", "general")
    assert "⟦Okay, so⟧ 3+4=7. ⟦Let me check⟧ it." in done.out
    done = command("boundary", "show", slices, "t", "--boundary", TOLD)
    assert "{-Wait,-} the sum is 7 and the rest 2." in done.out
    assert "missed: marked, not given" in done.out
    assert command("boundary", "show", slices).out.count("⟦") == 3 + 1  # and the legend's


def test_colours_on_a_terminal(command: Command, slices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    done = command("boundary", "show", slices, "two", "--boundary", TOLD)
    assert "\x1b[" in done.out and "{-" not in done.out


def test_a_page(command: Command, slices: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = command("boundary", "show", slices, "--boundary", "general", "--html", page)
    assert (done.code, done.err) == (0, "") and "3 texts" in done.out
    assert "<mark>Okay, so</mark>" in page.read_text("utf-8")
    refused(command("boundary", "show", slices, "--html", tmp_path / "no" / "page.html"), "cannot be written")


def test_an_unknown_text(command: Command, slices: Path) -> None:
    refused(command("boundary", "show", slices, "ten"), f"{slices}: no text's id is 'ten'", "'one'")


# -- bad files, by every command that reads one

BAD: dict[str, tuple[dict[str, Any], str]] = {
    "overlap": ({"text": "abcdef", "style": [[0, 3], [2, 5]]}, "[0, 3] and [2, 5] overlap"),
    "beyond": ({"text": "abc", "style": [[1, 4]]}, "[1, 4] lies outside the text"),
    "negative": ({"text": "abc", "style": [[-1, 2]]}, "[-1, 2] lies outside"),
    "empty span": ({"text": "abc", "style": [[1, 1]]}, "[1, 1] lies outside the text or is empty"),
    "not whole": ({"text": "abc", "style": [[0.0, 2]]}, "[0.0, 2] is not [start, end] in whole numbers"),
    "truth as a number": ({"text": "abc", "style": [[False, 2]]}, "not [start, end]"),
    "three ends": ({"text": "abc", "style": [[0, 1, 2]]}, "not [start, end]"),
    "style of another type": ({"text": "abc", "style": "0-2"}, "style is a text, not a list"),
    "no text": ({"style": []}, "text is missing"),
    "text of another type": ({"text": 3, "style": []}, "text is a number, not a text"),
    "no words": ({"text": " \n", "style": []}, "no words"),
    "no marks": ({"text": "abc"}, "neither style (spans), tags nor marked"),
    "two forms": ({"text": "abc", "style": [], "marked": "abc"}, "holds style and marked"),
    "marked and text": ({"text": "abc", "marked": "abc"}, "holds marked and text"),
    "open bracket": (
        {"marked": "a ⟦b"},
        "⟦ at character 2",
    ),
    "close bracket": ({"marked": "a⟧ b"}, "⟧ at character 1"),
    "nested": ({"marked": "⟦a ⟦b⟧⟧"}, "before the last one was closed"),
    "fewer tags": ({"tokens": ["a", "b"], "tags": ["O"]}, "1 tags for 2 tokens"),
    "another tag": ({"tokens": ["a"], "tags": ["B-PER"]}, "'B-PER' is none of B-style, I-style and O"),
    "tags of another type": ({"tokens": ["a"], "tags": [1]}, "tags is a list of other things"),
    "no tokens": ({"text": "a", "tags": ["O"]}, "words is missing"),
    "tokens of another text": ({"text": "a b", "tokens": ["a", "c"], "tags": ["O", "O"]}, "'c' does not come next"),
    "tokens end early": ({"text": "a b", "tokens": ["a"], "tags": ["O"]}, "end before the text does"),
    "author": ({"text": "a", "style": [], "author": "me"}, "author is 'me'"),
    "domain": ({"text": "a", "style": [], "domain": ["x"]}, "domain is a list"),
    "twice": ({"id": "good", "text": "a", "style": []}, "the id 'good' stands at"),
}


@pytest.mark.parametrize(("record", "said"), BAD.values(), ids=BAD)
def test_a_bad_record_is_told_with_its_line(
    command: Command, tmp_path: Path, record: dict[str, Any], said: str
) -> None:
    path = write_lines(tmp_path / "m.jsonl", [{"id": "good", "text": "fine", "style": []}, record])
    refused(evaluate(command, "--data", path), f"{path}:2: ", said)


def test_all_faults_are_told_at_once(command: Command, slices: Path, tmp_path: Path) -> None:
    path = write_lines(tmp_path / "m.jsonl", [{"text": "a"} for _ in range(13)])
    for arguments in (("agree", slices, path), ("show", path), ("evaluate", "--boundary", "general", "--data", path)):
        refused(command("boundary", *arguments), f"{path}:1: ", f"{path}:10: ", "and 3 more")


RAW = {
    "broken JSON": (b'{"text": "a"', ":1: broken JSON"),
    "not UTF-8": (b'{"text": "\xff", "style": []}', ":1: not valid UTF-8"),
    "UTF-16": ('{"text": "a"}'.encode("utf-16"), "is UTF-16"),
    "empty": (b"", "holds no marked text"),
    "a torn gzip file": (gzip.compress(json.dumps(SLICES).encode() * 50)[:-20], ""),
}


@pytest.mark.parametrize(("data", "said"), RAW.values(), ids=RAW)
def test_a_file_that_cannot_be_read(command: Command, tmp_path: Path, data: bytes, said: str) -> None:
    path = tmp_path / "m.jsonl"
    path.write_bytes(data)
    refused(command("boundary", "show", path), f"{path}{said}" if said.startswith(":") else str(path), said)
    refused(command("boundary", "show", tmp_path / "none.jsonl"), "there is no such file")


PLAIN = {
    "open bracket": ("=== a\none\n\ntwo ⟦three\n=== b\nx\n", ":4: ⟦ at character"),
    "without headers": ("one\n⟧ two\n", ":2: ⟧ at character"),
    "above the first": ("hm\n=== a\nx\n", ":1: there is text above"),
    "header": ("=== a\nx\n=== b c=d\nx\n", ":3: write this line as === id"),
    "header without id": ("=== a\nx\n=== \nx\n", ":3: write this line as === id"),
    "quotes": ("=== 'a\nx\n", ":1: write this line as === id"),
    "author": ("=== a author=me\nx\n", ":1: author is 'me'"),
    "twice": ("=== a\nx\n=== a\ny\n", ":3: the id 'a' stands at"),
    "no words": ("=== a\n=== b\ny\n", ":1: the text has no words"),
    "empty": ("\n", ": holds no marked text"),
}


@pytest.mark.parametrize(("text", "said"), PLAIN.values(), ids=PLAIN)
def test_a_fault_in_a_plain_file_is_told_with_its_line(command: Command, tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "m.txt"
    path.write_text(text, "utf-8")
    refused(command("boundary", "show", path), f"{path}{said}")


def test_a_plain_file_that_is_not_utf8(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "m.txt"
    path.write_bytes("⟦naïve⟧".encode("utf-16"))
    refused(command("boundary", "show", path), f"{path}: is not valid UTF-8")


@pytest.mark.slow
def test_the_marked_slices_by_the_command(command: Command, shared: Path) -> None:
    found = evaluate(command, "--data", shared / "style_spans.jsonl", "--json").json
    assert (found["texts"], found["problems"]) == (1220, 268)
    assert 0.84 < found["online"]["style_f1"] < 0.86
    assert not math.isnan(found["replay"]["per_100_kept"]["wrong"])
    assert len(found["worst"]) == 30
    assert set(found["by_domain"]) == {"math", "logic", "argument", "code", "sql", "support"}
