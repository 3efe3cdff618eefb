"""Token classifiers of every odd kind: what they are taken for, and one clear line for those that cannot be used."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from antiphon.boundary import load
from antiphon.boundary.checkpoint import read_checkpoint
from antiphon.boundary.tagger import Tagger
from antiphon.errors import ModelError, SettingsError

from . import classifiers
from .classifiers import make, rewrite


def without_tokenizer(folder: Path) -> None:
    make(folder)
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("[PAD]\nso\n##o\n", "utf-8")


def word_pieces(folder: Path) -> None:
    make(folder)
    written = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    written["model"] = {"type": "WordPiece", "vocab": {"[UNK]": 0}, "unk_token": "[UNK]"}
    (folder / "tokenizer.json").write_text(json.dumps(written), "utf-8")


def without_a_layer(folder: Path) -> None:
    rewrite(make(folder, shape="Llama"), num_hidden_layers=3)


def no_json(folder: Path) -> None:
    make(folder)
    (folder / "config.json").write_text("{", "utf-8")


def bert(folder: Path) -> None:
    make(folder, shape="Bert", hidden_size=16, intermediate_size=24)


def bloom(folder: Path) -> None:
    make(folder, shape="Bloom", hidden_size=16, n_head=2, n_layer=2)


UNFIT: dict[str, tuple[Callable[[Path], object], str]] = {
    "three labels": (
        lambda folder: make(folder, labels={0: "O", 1: "B-style", 2: "I-style"}),
        "3 labels .O, B-style, I",
    ),
    "one label": (lambda folder: make(folder, labels={0: "style"}), r"1 labels \(style\); there must be two"),
    "labels of something else": (lambda folder: make(folder, labels={0: "human", 1: "machine"}), "say which is style"),
    "no head": (
        lambda folder: make(folder, head=False),
        "no classifier's head there .score.bias, score.weight.; make one",
    ),
    "a layer missing": (without_a_layer, "of its weights are missing .model.layers.2."),
    "no offsets": (without_tokenizer, "no tokenizer.json there, so no word can be told its tokens"),
    "word pieces": (word_pieces, "a WordPiece vocabulary that cannot write every byte"),
    "a newer version": (
        lambda folder: make(folder, says={"version": 2, "kind": "tagger"}),
        "newer version of antiphon",
    ),
    "another kind": (lambda folder: make(folder, says={"kind": "oracle"}), "of the kind 'oracle', which this version"),
    "both ways": (bert, "they read both ways, so later words would change earlier verdicts"),
    "an attention of its own": (bloom, "bloom classifiers cannot be run a word at a time"),
    "no end": (lambda folder: make(folder, says={"lookahead": 1}), "says look-ahead 1 but no end token"),
    "no such end": (lambda folder: make(folder, says={"lookahead": 1, "end": 99999}), "the token 99999, which its tok"),
    "a short context": (
        lambda folder: make(folder, says={"window": 256}, max_position_embeddings=200),
        "its context of 200 tokens is too short for a window of 256",
    ),
    "a tiny window": (lambda folder: make(folder, says={"window": 16}), "a window of 16 tokens is too short"),
    "nothing to begin with": (
        lambda folder: rewrite(
            make(folder, says={"label_offset": 1}), bos_token_id=None, eos_token_id=None, pad_token_id=None
        ),
        "no token to begin a text with",
    ),
    "no configuration": (lambda folder: folder.mkdir(), "no model there .it holds no config.json"),
    "broken configuration": (no_json, "config.json: cannot be read"),
    "labels in a list": (lambda folder: rewrite(make(folder), id2label=["a", "b"]), "does not map numbers to names"),
    "a word for a number": (
        lambda folder: make(folder, says={"window": "wide"}),
        "antiphon.window in its conf",
    ),
    "look-ahead -2": (lambda folder: make(folder, says={"lookahead": -2}), "antiphon.lookahead is below -1"),
    "broken say": (lambda folder: make(folder, says=["tagger"]), "not the configuration of a model"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("case", UNFIT)
def test_what_cannot_be_used_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    folder = tmp_path / "it"
    write, words = UNFIT[case]
    write(folder)
    with pytest.raises(ModelError, match=words) as caught:
        load(str(folder))
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "style"),
    [
        ({0: "LABEL_0", 1: "LABEL_1"}, 1),
        ({0: "style", 1: "capability"}, 0),
        ({0: "Capability", 1: "Style"}, 1),
        ({0: "STYLE", 1: "O"}, 0),
        ({0: "capability", 1: "other"}, 1),
    ],
)
def test_which_label_is_style(labels: dict[int, str], style: int, tmp_path: Path) -> None:
    assert read_checkpoint(str(make(tmp_path / "it", labels=labels))).layout.style == style


def test_the_order_of_labels_turns_verdicts_round(tmp_path: Path) -> None:
    from antiphon.trace import Author

    one = load(str(make(tmp_path / "one", labels={0: "capability", 1: "style"})))
    other = load(str(make(tmp_path / "other", labels={0: "style", 1: "capability"})))
    text = "Okay, so let me check 3 + 4 = 7. "
    pairs = zip(one.session(Author.STUDENT).feed(text), other.session(Author.STUDENT).feed(text), strict=True)
    sure = [(a, b) for a, b in pairs if a.confidence > 0.5]
    assert sure and all(a.style != b.style and a.confidence == pytest.approx(b.confidence) for a, b in sure)


def test_options_and_names(tmp_path: Path) -> None:
    folder = make(tmp_path / "mine", labels={0: "human", 1: "machine"})
    tagger = Tagger.from_spec(
        f"{folder}?style=machine&label_offset=1&window=200&threshold=0.25&dtype=bfloat16&device=cpu"
    )
    layout = tagger.layout
    assert (layout.style, layout.lookahead, layout.window, layout.start) == (1, -1, 200, 0)
    assert re.fullmatch("tagger:mine:[0-9a-f]{12}:threshold=0.25:dtype=bfloat16", tagger.id)
    assert read_checkpoint(str(folder), style="0").layout.style == 0
    with pytest.raises(ModelError, match="there is no label 'style'; it has human, machine"):
        read_checkpoint(str(folder), style="style")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("treshold=0.5", "no option 'treshold'; known are threshold, label_offset, style, window, device, dtype"),
        ("threshold=1.5", "threshold = '1.5': give a number above 0 and below 1"),
        ("threshold", "threshold is to be given once, as threshold=VALUE"),
        ("window=100&window=200", "window is to be given once"),
        ("window=some", "window = 'some': give a whole number"),
        ("label_offset=2", "label_offset = '2': give 0 or 1"),
        ("dtype=int8", "give float32 or bfloat16 or float16"),
    ],
)
def test_wrong_options(options: str, words: str, tmp_path: Path) -> None:
    folder = make(tmp_path / "it")
    with pytest.raises(SettingsError, match=re.escape(words)):
        load(f"{folder}?{options}")


def test_a_wrong_device(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="device 'tpu' cannot be used"):
        load(f"{make(tmp_path / 'it')}?device=tpu")


@pytest.mark.parametrize("name", ["Boundary_Predictor_Teacher_Code", "Boundary_Predictor_Student_Code"])
def test_the_published_ones_are_known_by_their_folders(name: str, tmp_path: Path) -> None:
    assert load(str(make(tmp_path / name))).lookahead == -1
    assert load(f"{tmp_path / name}?label_offset=0").lookahead == 0


def test_the_published_ones_are_known_by_their_names_at_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the hub's cache on this machine, as a download would leave it."""
    import huggingface_hub

    name = "CoopReason/Boundary_Predictor_Teacher_Code"
    kept = tmp_path / f"models--{name.replace('/', '--')}"
    make(kept / "snapshots" / ("a" * 40))
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text("a" * 40)
    real = huggingface_hub.snapshot_download

    def from_cache(reference: str, **how: object) -> object:
        return real(reference, cache_dir=tmp_path, local_files_only=True, **how)  # type: ignore[call-overload]

    monkeypatch.setattr(huggingface_hub, "snapshot_download", from_cache)
    predictor = load(name)
    assert predictor.lookahead == -1
    assert predictor.id.startswith("tagger:Boundary_Predictor_Teacher_Code:")
    with pytest.raises(ModelError, match="somebody/else: no such folder, and none at the Hugging Face hub: "):
        load("somebody/else")


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelError, match="no such folder"):
        load(str(tmp_path / "file"))


def test_a_small_context_has_a_small_window(tmp_path: Path) -> None:
    folder = make(tmp_path / "it", max_position_embeddings=200)
    assert Tagger.load(str(folder)).layout.window == 199
    assert classifiers.LABELS
