"""`antiphon boundary annotate` against a scripted annotator with every fault, killed and taken up again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Event

import pytest

from antiphon.boundary.making.annotate import JOURNAL
from antiphon.boundary.making.marked import read_marked
from antiphon.engine.http import servers
from tests.boundary.making.annotators import (
    LONG,
    UNUSABLE,
    USABLE,
    asked_for,
    number_of,
    style_of,
    well,
    write_traces,
)
from tests.cli.conftest import Command, Outcome
from tests.engine.http.chat_server import ChatServer, Refusal, Says

MANNERS: list[Callable[[str], str]] = [*USABLE.values(), *(manner for manner, _ in UNUSABLE.values())]
COUNT = 2 * len(MANNERS)


class Annotators:
    """A different manner for each problem, until `cured`; the last problem's text is refused by the server."""

    def __init__(self) -> None:
        self.cured = False
        self.texts: list[str] = []

    def __call__(self, messages: Sequence[dict[str, str]]) -> Says:
        text = asked_for(messages)
        if not text:
            return Says("1 2 3")
        self.texts.append(text)
        number = number_of(text)
        if number == COUNT and not self.cured:
            raise Refusal("content policy")
        return Says(well(text) if self.cured else MANNERS[number % len(MANNERS)](text))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_FIRST_WAIT", 0.001)


@pytest.fixture
def annotators() -> Annotators:
    return Annotators()


@pytest.fixture
def server(annotators: Annotators) -> Iterator[ChatServer]:
    with ChatServer(annotators).beside() as server:
        yield server


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    return write_traces(tmp_path / "traces.jsonl", COUNT + 1)


Run = Callable[..., Outcome]


@pytest.fixture
def run(command: Command, server: ChatServer, traces: Path, tmp_path: Path) -> Run:
    """The command with its usual arguments."""

    def run(*more: object) -> Outcome:
        usual = (traces, "--to", tmp_path / "data", "--model", server.base, "--words", LONG)
        return command("boundary", "annotate", *usual, *more)

    return run


def labels_are_right(folder: Path) -> int:
    """Raises AssertionError where a mark is not exactly where it should be; gives the number of texts."""
    items = [item for path in sorted(folder.glob("*.jsonl")) for item in read_marked(path)]
    for item in items:
        assert item.style == style_of(item.text), item.text
    return len(items)


def test_every_fault_of_annotator_and_server_ends_in_a_mark_or_a_cause(
    run: Run, server: ChatServer, annotators: Annotators, tmp_path: Path
) -> None:
    faults = {3: "busy", 5: "page", 7: "reset", 9: "error", 11: "end", 13: "malformed", 15: "hang"}
    server.fault = faults.get
    done = run("--yes", "--json", "--set", "teacher.server.timeout=1", "--set", "teacher.price_out=2")
    assert done.code == 1
    usable = 2 * len(USABLE)
    expected = {cause: 2 for _, cause in UNUSABLE.values()} | {"server": 1}
    assert {cause: found["count"] for cause, found in done.json["refused"].items()} == expected
    assert all(found["example"] for cause, found in done.json["refused"].items() if cause != "empty")
    assert "content policy" in done.json["refused"]["server"]["example"]
    assert (done.json["marked"], done.json["pending"]) == (usable, 0)
    assert labels_are_right(tmp_path / "data") == usable
    assert done.json["cost"] > 0

    # What was replied to is not asked again; what was of no use is, with --again, and nothing else.
    annotators.texts.clear()
    again = run("--yes", "--json")
    assert (again.code, annotators.texts) == (1, [])
    annotators.cured = True
    retried = run("--yes", "--json", "--again")
    assert (retried.code, len(annotators.texts)) == (0, len(UNUSABLE) * 2 + 1)
    assert labels_are_right(tmp_path / "data") == COUNT + 1


def test_train_and_test_share_no_problem_and_each_text_says_where_it_is_from(run: Run, tmp_path: Path) -> None:
    run("--yes")
    train, test = (read_marked(tmp_path / "data" / f"{name}.jsonl") for name in ("train", "test"))
    assert not {item.problem_key for item in train} & {item.problem_key for item in test}
    records = [json.loads(line) for line in (tmp_path / "traces.jsonl").read_text("utf-8").splitlines()]
    for item in (*train, *test):
        record = records[item.fields["row"] - 1]
        assert record["response"][item.fields["start"] : item.fields["end"]] == item.text
        assert item.problem_key == record["problem_key"]
        assert item.fields["annotator"] == "big"


def test_it_is_told_for_people(run: Run, annotators: Annotators, tmp_path: Path) -> None:
    done = run("--yes", "--set", "teacher.price_in=3")
    assert done.code == 1
    assert f"{COUNT + 1} slices from {COUNT + 1} traces" in done.err
    assert "is asked for 29 of them: about" in done.err
    assert "which costs" in done.err
    assert "data: 12 slices marked" in done.out
    assert "2 x a text in another language, as that for" in done.err
    assert "Gut, mal sehen" in done.err
    assert "--again" in done.err
    assert "Traceback" not in done.err


def test_nothing_is_asked_without_a_word_where_nobody_can_say_it(run: Run, server: ChatServer, tmp_path: Path) -> None:
    done = run()
    assert done.code == 2
    assert "tokens read" in done.err
    assert "--yes" in done.err.splitlines()[-1]
    assert not server.asked


def test_a_server_that_is_down_ends_with_exit_3_and_all_is_kept(
    run: Run, server: ChatServer, annotators: Annotators, tmp_path: Path
) -> None:
    annotators.cured = True
    server.fault = lambda number: "page" if number > 6 else None
    flags = ("--yes", "--concurrency", 1, "--set", "teacher.server.retries=0", "--set", "outage=0.01")
    down = run(*flags)
    assert down.code == 3
    assert "waiting for it" in down.err
    assert "Traceback" not in down.err
    kept = labels_are_right(tmp_path / "data")
    assert kept == 5
    server.fault = lambda number: None
    annotators.texts.clear()
    done = run("--yes", "--json")
    assert (done.code, len(annotators.texts)) == (0, COUNT + 1 - kept)
    assert labels_are_right(tmp_path / "data") == COUNT + 1


def test_a_model_that_does_not_answer_at_all_is_one_line(command: Command, traces: Path, tmp_path: Path) -> None:
    done = command(
        "boundary",
        "annotate",
        traces,
        "--to",
        tmp_path / "d",
        "--model",
        "http://127.0.0.1:9",
        "--words",
        LONG,
        "--yes",
    )
    assert done.code == 3
    assert "Traceback" not in done.err
    assert done.err.splitlines()[-1].startswith("error: ")


def ended(server: ChatServer, traces: Path, folder: Path, *, after: int, by: signal.Signals) -> tuple[int, str]:
    """The command in a process of its own, which gets a signal when its annotator hangs, after so many requests. Gives
    its exit code and what it said on standard error."""
    hangs = Event()

    def fault(number: int) -> str | None:
        if number <= after:
            return None
        hangs.set()
        return "hang"

    server.fault = fault
    usual = ("--to", folder, "--model", server.base, "--words", LONG, "--yes", "--concurrency", "3")
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "boundary", "annotate", str(traces), *map(str, usual)],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert hangs.wait(120)
    process.send_signal(by)
    _, said = process.communicate()
    return process.returncode, said


COMMAND = """
import signal
from antiphon.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored in its background
main()
"""


def answered(folder: Path) -> set[str]:
    """The texts whose outcome is on the disk."""
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)[1:]
    return {json.loads(line)["slice"]["text"] for line in lines if line.endswith(b"\n")}


def test_killed_in_the_middle_it_goes_on_and_asks_nothing_twice(
    run: Run, server: ChatServer, annotators: Annotators, traces: Path, tmp_path: Path
) -> None:
    annotators.cured = True
    folder = tmp_path / "data"
    code, _ = ended(server, traces, folder, after=12, by=signal.SIGKILL)
    assert code == -signal.SIGKILL
    before = answered(folder)
    assert len(before) >= 9  # of 11 replies: the start-up's request is one, and up to two were not read to their end
    with (folder / JOURNAL).open("ab") as journal:
        journal.write(b'{"slice": {"id": "torn')
    server.fault = lambda number: None
    annotators.texts.clear()
    done = run("--yes", "--json")
    assert done.code == 0
    assert "its last line was torn (22 bytes) and is cut off" in done.err
    assert not before & set(annotators.texts)
    assert len(annotators.texts) == len(set(annotators.texts)) == COUNT + 1 - len(before)
    assert labels_are_right(folder) == COUNT + 1


def test_interrupted_it_keeps_everything_and_says_so(
    run: Run, server: ChatServer, annotators: Annotators, traces: Path, tmp_path: Path
) -> None:
    annotators.cured = True
    folder = tmp_path / "data"
    code, said = ended(server, traces, folder, after=12, by=signal.SIGINT)
    assert code == 130
    assert "Interrupted. Everything is kept" in said
    assert "Traceback" not in said
    before = answered(folder)
    assert labels_are_right(folder) == len(before) >= 9
    server.fault = lambda number: None
    annotators.texts.clear()
    assert run("--yes", "--json").json["outcomes"] == COUNT + 1 - len(before)
    assert not before & set(annotators.texts)


def test_what_shapes_the_slices_may_not_change_in_a_folder(
    run: Run, server: ChatServer, annotators: Annotators
) -> None:
    annotators.cured = True
    assert run("--yes", "--slices", 5).code == 0
    changed = run("--yes", "--seed", 1)
    assert changed.code == 2
    assert "was begun otherwise: seed was 0, not 1" in changed.err
    annotators.texts.clear()
    assert run("--yes", "--slices", 9).code == 0
    assert len(annotators.texts) == 4


# -- by people


def test_people_mark_in_a_text_file_which_is_read_back(command: Command, traces: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    usual = ("boundary", "annotate", traces, "--to", folder, "--model", "none", "--words", LONG, "--rules", "general")
    first = command(*usual)
    assert first.code == 0
    assert "run the same command again" in first.out
    texts = sorted(folder.glob("*.txt"))
    assert [path.name for path in texts] == ["test.txt", "train.txt"]
    assert any(item.style for item in read_marked(texts[0]))  # the rules' marks
    for path in texts:  # a careless hand, which changes a word as well
        marked = [(item, well(item.text).replace("p1w3", "p1w33")) for item in read_marked(path)]
        sections = [f"=== {item.id} problem_key='{item.problem_key}'\n{text}\n" for item, text in marked]
        path.write_text("".join(sections), "utf-8")
    second = command(*usual, "--json")
    assert (second.code, second.json["marked"], second.json["refused"]) == (0, COUNT + 1, {})
    assert labels_are_right(folder) == COUNT + 1
    (item, *_) = read_marked(folder / "train.jsonl")
    assert item.fields["annotator"] == "hand"
    assert item.fields["file"] == str(traces)


def test_what_people_left_open_or_brought_along_is_said_with_its_place(
    command: Command, traces: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "data"
    usual = ("boundary", "annotate", traces, "--to", folder, "--model", "none", "--words", LONG, "--test-share", 0)
    assert command(*usual).code == 0
    path = folder / "train.txt"
    laid_out = path.read_text("utf-8")
    path.write_text(laid_out.replace("isn't", "⟦isn't", 1), "utf-8")
    opened = command(*usual)
    assert opened.code == 2
    assert f"{path}:" in opened.err
    path.write_text(f"{laid_out}=== mine\nso x\n", "utf-8")
    assert "'mine' is none of the slices" in command(*usual).err


def test_hand_marks_and_a_models_marks_do_not_mix(
    command: Command, run: Run, annotators: Annotators, traces: Path, tmp_path: Path
) -> None:
    annotators.cured = True
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "train.jsonl").write_text('{"text": "so", "style": []}\n', "utf-8")
    assert "was not made by a model" in run("--yes").err
    (tmp_path / "data" / "train.jsonl").unlink()
    assert run("--yes").code == 0
    by_hand = command("boundary", "annotate", traces, "--to", tmp_path / "data", "--model", "none", "--words", LONG)
    assert by_hand.code == 2
    assert "what a model marked" in by_hand.err


def test_rules_propose_and_the_model_decides(
    run: Run, server: ChatServer, annotators: Annotators, tmp_path: Path
) -> None:
    annotators.cured = True
    assert run("--yes", "--rules", "general").code == 0
    _, *asked = server.asked
    assert all("Simple rules" in body["messages"][0]["content"] for body in asked)
    assert any("⟦" in body["messages"][0]["content"].rpartition("The text:")[2] for body in asked)
    assert labels_are_right(tmp_path / "data") == COUNT + 1


WRONG = {
    "words": (("--words", "100-60"), "is no length; write it as 60-100"),
    "no words": (("--words", "0"), "is no length; write it as 60-100"),
    "too long": (("--words", "900"), "no thinking of at least 900 words"),
    "rules": (("--rules", "nonsense"), "nonsense"),
    "a setting": (("--set", "teacher.nonsense=1"), "nonsense"),
    "a split": (("--test-share", "0.01"), "cannot be split"),
}


@pytest.mark.parametrize(("flags", "says"), WRONG.values(), ids=WRONG)
def test_wrong_use_is_one_line_and_costs_nothing(
    run: Run, server: ChatServer, flags: tuple[str, str], says: str
) -> None:
    done = run("--yes", *flags)
    assert done.code == 2
    assert says in " ".join(done.err.split())
    assert not server.asked


def test_who_is_to_mark_has_to_be_said(command: Command, traces: Path, tmp_path: Path) -> None:
    done = command("boundary", "annotate", traces, "--to", tmp_path / "data")
    assert done.code == 2
    assert "--model" in done.err


def test_the_thinking_of_a_run_is_cut(command: Command, finished: Path, tmp_path: Path) -> None:
    usual = ("--to", tmp_path / "data", "--model", "none", "--words", "4-8", "--test-share", 0, "--rules", "lab")
    assert command("boundary", "annotate", finished, *usual).code == 0
    assert command("boundary", "annotate", finished, *usual).code == 0
    items = read_marked(tmp_path / "data" / "train.jsonl")
    assert {item.problem_key for item in items}.isdisjoint({""})
    assert {item.model for item in items} == {"lab:student + lab:teacher"}
    assert {item.fields["row"] for item in items} == {"347x6/tessy/0", "123x4/tessy/0", "588x2/tessy/0"}
    assert any(item.style for item in items)
