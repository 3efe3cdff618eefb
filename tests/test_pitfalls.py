"""Faults that users report of neighbouring tools, each through the public interface, named after the kind."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest
from bench.pair import settings

import antiphon
from antiphon.engine.scripted import Control, Fault, Script, ScriptedEngine, Situation, Token
from antiphon.engine.tokenizer_json import TokenizerVocabulary
from antiphon.engine.vocabulary import Vocabulary
from antiphon.errors import ProblemError, StoreBusy, StoreUnfit, UsageError
from antiphon.export import write
from antiphon.problem import Problem
from antiphon.settings import Sampling
from antiphon.synth.run import Run
from antiphon.trace import Author, Label, Span, Status, Trace
from antiphon.verify.choose import verifiers
from antiphon.verify.sandbox import isolation
from tests.synth.duets import after, in_turn

CLOSE, END = Control("</think>"), Control("<|im_end|>")
ANSWER: Sequence[Token] = ["It", " is", " 4.", END]
QUESTION = Problem("q", ({"role": "user", "content": "2+2?"},))


def student(thinking: Sequence[Token], answer: Sequence[Token] = ANSWER) -> Script:
    """Writes one thing after the opening marker and another after the closing one, wherever it stands."""
    closed = after("</think>\n\n", answer)
    opened = after("<think>\n", thinking)
    return lambda here: closed(here) if "</think>\n\n" in here.text else opened(here)


def opener(scripts: dict[str, Script], **how: Any) -> Callable[..., ScriptedEngine]:
    def open_engine(reference: str, **_: Any) -> ScriptedEngine:
        engine = ScriptedEngine(reference, scripts[reference], **how)
        engine.controls = tuple(engine.vocabulary.controls)
        return engine

    return open_engine


def write_one(
    directory: Path,
    student_says: Script,
    teacher_says: Script,
    *,
    problems: Sequence[Problem] = (QUESTION,),
    vocabulary: Vocabulary | None = None,
    open_engine: Callable[..., ScriptedEngine] | None = None,
    engine: dict[str, Any] | None = None,
    **flags: Any,
) -> Trace:
    """The (last) trace of a run."""
    scripts = {"student": student_says, "teacher": teacher_says}
    made = open_engine or opener(scripts, **({"vocabulary": vocabulary} if vocabulary else {}), **(engine or {}))
    *_, trace = Run(problems, directory, settings(**flags), open_engine=made)
    return trace


@pytest.fixture(scope="module")
def qwen(shared_module: Path) -> Vocabulary:
    return TokenizerVocabulary.from_file(shared_module / "tokenizers" / "qwen3" / "tokenizer.json")


@pytest.fixture(scope="module")
def shared_module() -> Path:
    from tests.conftest import SHARED

    if not SHARED.is_dir():
        pytest.skip("needs ../shared, which is not here")
    return SHARED


def test_01_a_models_own_ids_are_the_record_and_are_never_encoded_again(tmp_path: Path, qwen: Vocabulary) -> None:
    halves = ["Okay", " he", "llo", " \n", "\n", "1", "2", "3"]
    trace = write_one(
        tmp_path,
        student(["Okay", " x", " y"]),
        in_turn([*halves[1:], CLOSE]),
        vocabulary=qwen,
        **{"guards.repetition": True},
    )
    span = trace.spans[2]
    assert span.text == " hello \n\n123"
    sampled = [token for half in halves[1:] for token in qwen.encode(half)]
    assert list(span.ids) == sampled
    assert sampled != list(qwen.encode(span.text))


def test_02_a_character_split_over_tokens_and_chunks_is_kept_whole(tmp_path: Path) -> None:
    smile = "😀".encode()
    for chunk in (1, 2, 3):
        trace = write_one(
            tmp_path / str(chunk),
            student(["Okay", " x", " y"]),
            in_turn([" a", smile[:1], smile[1:3], smile[3:], " \ufffd", CLOSE]),
            engine={"chunk": chunk},
        )
        assert trace.thinking == "Okay a😀 \ufffd"  # the last one was the model's own


def test_03_the_stop_is_an_id_and_text_that_spells_it_is_text(tmp_path: Path) -> None:
    trace = write_one(
        tmp_path,
        student(["Okay", " x", " y"]),
        in_turn([" use", " </think>", " and", " <|im_end|>", " as", " text", CLOSE]),
    )
    assert trace.thinking == "Okay use </think> and <|im_end|> as text"
    assert trace.closed_by is Author.TEACHER


AWKWARD = "lone \ud83d, line\u2028para\u2029 next\x85 nul\x00 rtl\u202e e\u0301 \u1100\u1161 \x1c \ufeff end"


def test_04_any_unicode_goes_in_and_comes_out(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text(json.dumps({"id": AWKWARD, "problem": AWKWARD, "note": AWKWARD}) + "\n")
    made = antiphon.synthesize(path, run=tmp_path / "run", settings=_flags())
    # What a model writes is UTF-8; a lone surrogate can only be in a problem.
    words = [" " + word for word in AWKWARD.replace("\ud83d", "").split(" ")]
    made._open_engine = opener({"student": student(["Okay", " x", " y"]), "teacher": in_turn([*words, CLOSE])})
    (trace,) = made
    assert trace.key.problem == AWKWARD
    assert trace.thinking == "Okay" + "".join(words)
    reader = antiphon.read(tmp_path / "run")
    assert reader.problem(AWKWARD).messages[0]["content"] == AWKWARD
    assert reader.problem(AWKWARD).metadata["note"] == AWKWARD
    write(reader, "messages", tmp_path / "out.jsonl")
    lines = (tmp_path / "out.jsonl").read_bytes().decode("utf-8").splitlines()
    assert len(lines) == 1
    messages = json.loads(lines[0])["messages"]
    assert messages[0]["content"] == AWKWARD
    assert messages[1]["content"] == trace.response


def _flags() -> dict[str, Any]:
    return {
        "teacher.model": "teacher",
        "student.model": "student",
        "teacher.dialect": "qwen3",
        "student.dialect": "qwen3",
        "boundary.teacher": "bench.pair:Capitals",
        "boundary.student": "bench.pair:Capitals",
    }


R1_CONTROLS = (
    "<｜begin▁of▁sentence｜>",
    "<｜end▁of▁sentence｜>",
    "<｜User｜>",
    "<｜Assistant｜>",
    "<think>",
    "</think>",
)


def test_06_each_think_marker_stands_once_whoever_opens_it(tmp_path: Path) -> None:
    """DeepSeek-R1's prompt opens the thinking, Qwen3's reply does; gpt-oss has no such marker at all."""
    from antiphon.engine.scripted import ScriptVocabulary

    dialects = {
        "qwen3": (ScriptVocabulary(), "<|im_end|>"),
        "deepseek-r1": (ScriptVocabulary(R1_CONTROLS), "<｜end▁of▁sentence｜>"),
    }
    for name, (vocabulary, end) in dialects.items():
        answer = ["It", " is", " 4.", Control(end)]
        scripts = {"student": student(["Okay", " x", " y"], answer), "teacher": in_turn([" four", "\n", CLOSE])}

        def open_engine(
            reference: str, vocabulary: Any = vocabulary, scripts: Any = scripts, **_: Any
        ) -> ScriptedEngine:
            engine = ScriptedEngine(reference, scripts[reference], vocabulary=vocabulary)
            engine.controls = tuple(vocabulary.controls)
            return engine

        trace = write_one(
            tmp_path / name,
            scripts["student"],
            scripts["teacher"],
            open_engine=open_engine,
            **{"teacher.dialect": name, "student.dialect": name},
        )
        assert trace.status is Status.COMPLETE, trace.cause
        assert (trace.response.count("<think>"), trace.response.count("</think>")) == (1, 1)
        assert trace.response == "<think>\nOkay four\n</think>\n\nIt is 4."


def test_09_a_loop_ends_the_trace_and_legal_repetition_does_not(tmp_path: Path) -> None:
    guard = {"guards.repetition": True}
    loop = [" and", " again", ",", " it", " is"] * 500
    trace = write_one(tmp_path / "loop", student(["Okay", " x", " y"]), in_turn([*loop, CLOSE]), **guard)
    assert trace.status is Status.REPETITION
    cjk = list("让我再想一想。") * 300
    trace = write_one(tmp_path / "cjk", student(["Okay", " x", " y"]), in_turn([*cjk, CLOSE]), **guard)
    assert trace.status is Status.REPETITION
    zeros = [" 0"] * 900 + ["\n"]
    trace = write_one(tmp_path / "zeros", student(["Okay", " x", " y"]), in_turn([*zeros, CLOSE]), **guard)
    assert trace.status is Status.COMPLETE


def test_10_prompt_and_max_tokens_never_pass_the_context(tmp_path: Path) -> None:
    asked: list[int] = []

    class Strict(ScriptedEngine):
        async def open(self, parts: Any) -> Any:
            sequence = await super().open(parts)
            stream = sequence.stream

            def checked(sampling: Sampling, max_tokens: int, *rest: Any) -> Any:
                asked.append(sequence.length + max_tokens)
                return stream(sampling, max_tokens, *rest)

            sequence.stream = checked  # type: ignore[method-assign]
            return sequence

    def open_engine(reference: str, **_: Any) -> ScriptedEngine:
        says = student(["Okay", *[" Wait"] * 99]) if reference == "student" else in_turn()
        return Strict(reference, says, context=60)

    trace = write_one(tmp_path, in_turn(), in_turn(), open_engine=open_engine, **{"budget.answer": 20})
    assert trace.status is Status.CONTEXT_FULL
    assert max(asked) <= 60
    long = Problem("long", ({"role": "user", "content": "word " * 80},))
    trace = write_one(tmp_path, in_turn(), in_turn(), open_engine=open_engine, problems=[long], **{"budget.answer": 20})
    assert (trace.status, trace.cause) == (Status.CONTEXT_FULL, "the problem alone fills the student's context")


def test_11_a_reply_cut_by_length_is_never_good_and_odd_chunks_are_legal(tmp_path: Path) -> None:
    cut = write_one(tmp_path / "cut", student(["Okay", CLOSE]), in_turn(), **{"budget.answer": 2})
    assert cut.status is Status.TOO_LONG
    write(antiphon.read(tmp_path / "cut"), "messages", tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text() == ""
    blank = write_one(
        tmp_path / "blank", student(["", " ", "", "Okay", " ", CLOSE], ["", "\n", "4", "", END]), in_turn()
    )
    assert blank.status is Status.COMPLETE
    assert blank.thinking.strip() == "Okay"
    assert blank.answer == "\n4"
    end = write_one(tmp_path / "end", student([END]), in_turn())
    assert (end.status, end.thinking) == (Status.COMPLETE, "")


def test_14_nothing_caps_the_traces_in_flight(tmp_path: Path) -> None:
    """Three hundred streams are open at once: each waits for all others."""
    count = 300
    arrived = 0
    everybody = asyncio.Event()

    class Crowded(ScriptedEngine):
        async def open(self, parts: Any) -> Any:
            nonlocal arrived
            if self.name == "student":
                arrived += 1
                if arrived == count:
                    everybody.set()
                await everybody.wait()
            return await super().open(parts)

    def open_engine(reference: str, **_: Any) -> ScriptedEngine:
        return Crowded(reference, student(["Okay", CLOSE]))

    problems = [Problem(f"p{n}", ({"role": "user", "content": f"{n}"},)) for n in range(count)]
    run = Run(problems, tmp_path, settings(concurrency=count), open_engine=open_engine)
    assert [trace.status for trace in run] == [Status.COMPLETE] * count


def _process(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.synth.endurance", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])


def test_17_a_killed_run_goes_on_and_a_second_writer_is_refused(tmp_path: Path) -> None:
    directory, counter = tmp_path / "run", tmp_path / "counter"
    with _process(directory, counter, 6, 200, "pausing") as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if line.startswith("finished"):
                    break
            with pytest.raises(StoreBusy, match=str(process.pid)):
                theirs = opener({"student": in_turn(), "teacher": in_turn()})
                list(Run([QUESTION], directory, settings(), open_engine=theirs))
        finally:
            process.send_signal(signal.SIGKILL)
    assert antiphon.read(directory).counts()[Status.COMPLETE] >= 1
    process = _process(directory, counter, 6, 200)
    process.communicate()
    assert process.returncode == 0
    traces = list(antiphon.read(directory).traces())
    assert {(trace.key.problem, trace.status) for trace in traces} == {(f"p{n}", Status.COMPLETE) for n in range(6)}
    assert len({trace.response for trace in traces}) == 1


def test_18_samples_and_double_questions_are_kept_apart_and_exports_spend_nothing(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text('{"problem": "2+2?"}\n{"problem": "2+2?"}\n{"id": "own", "problem": "2+2?"}\n')
    loaded = antiphon.problem.load(path)  # type: ignore[attr-defined]
    assert len(loaded.problems) == 2
    assert len(loaded.duplicates) == 2
    requests = 0

    def count(request: Any) -> Fault | None:
        nonlocal requests
        requests += 1
        return None

    scripts = {"student": student(["Okay", CLOSE]), "teacher": in_turn()}
    made = opener(scripts, faults=count)
    keys = [t.key for t in Run(loaded.problems, tmp_path / "run", settings(samples=3), open_engine=made)]
    assert len(set(keys)) == len(keys) == 6
    before = requests
    write(antiphon.read(tmp_path / "run"), "tessy", tmp_path / "out.jsonl")
    assert len(list(Run(loaded.problems, tmp_path / "run", settings(samples=3), open_engine=made))) == 6
    assert requests == before


def test_19_bad_records_are_named_with_file_and_line_and_none_vanishes(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl.gz"
    lines = [
        b'\xef\xbb\xbf{"id": 1, "problem": "ok"}\r',
        b'{"id": 2}',
        b'{"id": 3, "problem": null}',
        b'{"id": 4, "problem": 7}',
        b"{not json}",
        b'{"id": 5, "problem": "\xff"}',
        b'{"id": 6, "problem": "ok too"}',
    ]
    path.write_bytes(gzip.compress(b"\n".join(lines)))
    with pytest.raises(ProblemError) as raised:
        antiphon.synthesize(path, run=tmp_path / "run", settings=_flags())
    for number in (2, 3, 4, 5, 6):
        assert f"{path}:{number}" in str(raised.value)
    assert raised.value.exit_code == 2
    assert not (tmp_path / "run").exists()
    loaded = antiphon.problem.load(path)  # type: ignore[attr-defined]
    assert [problem.id for problem in loaded.problems] == ["1", "6"]


def test_20_a_newer_run_directory_is_refused_with_a_clear_word(tmp_path: Path) -> None:
    write_one(tmp_path, student(["Okay", CLOSE]), in_turn())
    (database,) = tmp_path.glob("*.sqlite")
    connection = sqlite3.connect(database)
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {version + 1}")
    connection.close()
    with pytest.raises(StoreUnfit, match="newer"):
        write_one(tmp_path, student(["Okay", CLOSE]), in_turn())
    with pytest.raises(StoreUnfit, match="newer"):
        antiphon.read(tmp_path)


def test_23_a_boundary_does_not_depend_on_how_far_a_model_ran_ahead(tmp_path: Path) -> None:
    thinking = (
        "Okay, so I need to find 3 + 4.\n\nFirst, 3 + 4 = 7. Wait, let me check that again. 7 - 4 = 3, "
        "so that's right. Hmm, maybe there is another way? The number line gives 7 as well.\n"
    )
    tokens: list[Token] = [token for line in thinking.splitlines(True) for token in _split(line)]

    def both(here: Situation) -> Iterable[Token]:
        return student([*tokens, CLOSE])(here)

    seen: list[list[tuple[Any, ...]]] = []
    for number, (run_ahead, chunk) in enumerate([("streamed", 1), ("streamed", 50), (1, 1), (3, 2), (17, 17)]):
        trace = write_one(
            tmp_path / str(number),
            both,
            both,
            engine={"chunk": chunk},
            run_ahead=run_ahead,
            **{"boundary.teacher": "math", "boundary.student": "math"},
        )
        seen.append([_content(span) for span in trace.spans])
    assert all(spans == seen[0] for spans in seen)
    assert len(seen[0]) > 6


def test_26_model_written_code_runs_in_a_sandbox_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    (verifier,) = verifiers(["code"])
    asked = {"entry_point": "f", "tests": "def check(candidate):\n    assert candidate() == 'seen'"}
    problem = Problem("p", ({"role": "user", "content": "See."},), asked)
    looking = "import os, socket\ndef f():\n    {}\n    return 'seen'"
    tried = {
        "pass": Label.RIGHT,
        f"open({__file__!r})": Label.CRASHED,
        "os.environ['SEEN']": Label.CRASHED,
        "socket.create_connection(('192.0.2.1', 80), 1)": Label.CRASHED,
        "while True: os.fork()": Label.CRASHED,
        "print('x' * (1 << 24))": Label.CRASHED,
    }
    monkeypatch.setenv("SEEN", "seen")
    for line, label in tried.items():
        try:
            verdict = asyncio.run(verifier.check(problem, f"```python\n{looking.format(line)}\n```"))
        except UsageError as error:
            pytest.skip(str(error))
        assert verdict.label is label, (line, verdict)
    isolation.isolation.cache_clear()
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UsageError, match="run only in a sandbox"):
        asyncio.run(verifier.check(problem, "```python\nprint()\n```"))


def _content(span: Span) -> tuple[Any, ...]:
    return span.author, span.kind, span.text, span.end, span.words, span.forced


def _split(line: str) -> list[str]:
    return re.findall(r"\s?[^\s]+|\s", line)
