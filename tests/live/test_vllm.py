"""MBPP problems by SmolLM2-135M at vLLM and Gemma-3-270M (base) at llama-server, either as the student; all on CPUs.

    LIVE_VLLM_PYTHON=/path/to/bin/python LIVE_SMOLLM2=smollm2.gguf LIVE_GEMMA3=gemma3.gguf \\
        pytest -m live tests/live/test_vllm.py -s

`scripts/models` gets both files, `scripts/hf-form` makes vLLM's folder of the first. So small a pair hardly hands over
inside the thinking. A streamed trace then asks vLLM two or three times, and up to half of what it asks about is new
there: the problem, and what the other model wrote. With few tokens a request the same prefix is asked about again and
again.
"""

from __future__ import annotations

import asyncio
import re
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from time import perf_counter
from typing import NamedTuple

import pytest

from antiphon.engine.launch import Launch, start_all
from antiphon.engine.model_files import read_tokenizer
from antiphon.engine.vocabulary import Vocabulary
from antiphon.store import Reader
from antiphon.trace import Author, Status
from tests.conftest import SHARED
from tests.live.command import hf_form, synth, traces, vllm_python
from tests.live.records import check
from tests.live.test_small_pair import model

pytestmark = [pytest.mark.live, pytest.mark.slow]

PROBLEMS = 24
BUDGETS = ["--thinking-budget", "150", "--answer-budget", "300", "--on-budget", "close", "--limit", str(PROBLEMS)]
SAMPLED = ["--boundary", "code", "--seed", "1", "--concurrency", "8"]
WAYS = {"streamed": [], "in chunks": ["--set", "run_ahead=16"], "student alone": ["--method", "student_only"]}
_COUNTER = re.compile(r"^vllm:prefix_cache_(queries|hits)_total\{.*\} (\S+)$", re.MULTILINE)


class Served(NamedTuple):
    url: str
    vocabulary: Vocabulary


class Pair(NamedTuple):
    vllm: Served
    llama_server: Served


@pytest.fixture(scope="module")
def problems() -> Path:
    path = SHARED / "problems" / "mbpp.jsonl"
    if not path.exists():
        pytest.skip("needs ../shared, which is not here")
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2 as a Hugging Face folder."""
    return hf_form(model("LIVE_SMOLLM2"), tmp_path_factory.mktemp("models") / "smollm2")


@pytest.fixture
def pair(folder: Path) -> Iterator[Pair]:
    """Both servers, started for each test: nothing is in vLLM's cache."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(vllm_python().parent), prepend=":")
        servers = [
            Launch.for_model(str(folder), kind="vllm", device="cpu", context=2048),
            Launch.for_model(model("LIVE_GEMMA3"), kind="llama-server", device="cpu", context=2048, slots=8),
        ]
        launches = [server for server in servers if server is not None]
        began = perf_counter()
        vllm, llama_server = asyncio.run(start_all(launches))
        print(
            f"both ready after {perf_counter() - began:.0f} s", *(" ".join(each.command) for each in launches), sep="\n"
        )
    try:
        yield Pair(
            Served(vllm, read_tokenizer(folder).vocabulary),
            Served(llama_server, read_tokenizer(Path(model("LIVE_GEMMA3"))).vocabulary),
        )
    finally:
        for launch in launches:
            asyncio.run(launch.stop())


def from_cache(server: Served) -> Counter[str]:
    """Prompt tokens that vLLM looked for in its cache, and those that it found, since it was started."""
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{server.url}/metrics") as page:
        return Counter({name: int(float(value)) for name, value in _COUNTER.findall(page.read().decode())})


def reachable(run: Path, role: Author) -> float:
    """The share of the prompts of streamed turns that a server can have seen before: not a trace's first prompt, and
    not what the other wrote meanwhile."""
    prompts = seen = 0
    with Reader(run) as reader:
        for trace in reader.traces():
            before = 0
            for turn in reader.turns(trace.key):
                if turn.role is role and turn.requests:
                    prompts += turn.prompt
                    seen += min(before, turn.prompt)
                    before = turn.prompt + turn.kept
    return seen / prompts


@pytest.mark.parametrize("role", ["student", "teacher"])
def test_every_trace_ends_and_the_cache_is_used(role: str, pair: Pair, problems: Path, tmp_path: Path) -> None:
    student, teacher = pair if role == "student" else pair[::-1]
    vocabularies = {Author.STUDENT: student.vocabulary, Author.TEACHER: teacher.vocabulary}
    urls = ["--student", student.url, "--teacher", teacher.url]
    complete = {}
    for name, flags in WAYS.items():
        before, began = from_cache(pair.vllm), perf_counter()
        summary = synth(problems, tmp_path / name, *urls, *BUDGETS, *SAMPLED, *flags)
        seconds, found = perf_counter() - began, from_cache(pair.vllm) - before
        written = traces(tmp_path / name, summary["variant"])
        ends = Counter(trace.status for trace in written)
        complete[name] = ends[Status.COMPLETE]
        share = found["hits"] / max(1, found["queries"])
        print(f"vLLM as {role}, {name}: {seconds:.0f} s, {dict(Counter(map(str, ends.elements())))}")
        print(f"  {found['queries']} prompt tokens at vLLM, {share:.1%} of them from its cache")
        assert len(written) == PROBLEMS
        assert not {None, Status.FAILED} & ends.keys()
        for trace in written:
            check(trace, vocabularies)
        if name == "streamed":
            most = reachable(tmp_path / name, Author(role))
            print(f"  {most:.1%} of them it can have seen before")
            assert share > 0.8 * most
        elif name == "in chunks":
            assert share > 0.7
    print(f"  complete of {PROBLEMS}: {complete}")  # too few to hold one to the other: chance alone moves each by two
