"""One shard of files: its problems and no others, and all that is known of the whole."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.errors import ProblemError
from antiphon.problem import Loaded, load
from antiphon.problem.shard import Shard, Share

records = st.lists(
    st.one_of(
        st.fixed_dictionaries({"id": st.sampled_from("abcdef"), "problem": st.sampled_from(["one?", "two?"])}),
        st.fixed_dictionaries({"problem": st.sampled_from(["one?", "two?", "three?"]), "n": st.integers(0, 1)}),
        st.fixed_dictionaries({"answer": st.just("no problem")}),
    ),
    max_size=12,
)


def bad(loaded: Loaded) -> list[str]:
    """The places of bad records."""
    return [str(error).partition(": ")[0] for error in loaded.bad]


@given(records, st.integers(1, 4), st.none() | st.integers(1, 5))
def test_shards_together_are_the_whole(records: list[dict[str, object]], of: int, limit: int | None) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "problems.jsonl"
        path.write_text("".join(json.dumps(record) + "\n" for record in records))
        whole = load(path, limit=limit)
        shards = [Shard(index, of) for index in range(of)]
        parts = [load(path, limit=limit, shard=shard) for shard in shards]
    for shard, part in zip(shards, parts, strict=True):
        assert part.problems == [problem for problem in whole.problems if problem.id in shard]
        assert part.share == Share.of(shard, (problem.id for problem in whole.problems)) == whole.only(shard).share
        assert part.problems == whole.only(shard).problems
        assert (part.count, bad(part)) == (whole.count, bad(whole)), "wrong for one is wrong for all"
    again = [line for line in whole.duplicates if "the first is kept" in line]
    assert sorted(again) == sorted(line for part in parts for line in part.duplicates if "the first is kept" in line), (
        "each is told by the shard that has it"
    )


def test_an_id_with_two_texts_is_refused_by_every_shard(tmp_path: Path) -> None:
    path = tmp_path / "problems.jsonl"
    path.write_text("".join(json.dumps({"id": "p", "problem": text}) + "\n" for text in ("one?", "two?")))
    for index in range(3):
        with pytest.raises(ProblemError, match=r"problems\.jsonl:2: the id 'p' stands for another text"):
            load(path, shard=Shard(index, 3)).require_good()


def test_other_shards_problems_are_not_held(tmp_path: Path) -> None:
    path, count, size = tmp_path / "problems.jsonl", 1_000, 4_000
    with path.open("w") as file:
        for number in range(count):
            file.write(json.dumps({"id": f"p{number}", "problem": f"{number} ".ljust(size, ".")}) + "\n")
    load(path, shard=Shard(0, 1_000), limit=10)  # what is imported is no problem's
    tracemalloc.start()
    loaded = load(path, shard=Shard(0, 1_000))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert loaded.count == count
    assert most < count * size / 4
