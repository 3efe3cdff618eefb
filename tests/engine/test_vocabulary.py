"""Text to ids, ids to bytes, ids to whole code points."""

from __future__ import annotations

import json
import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer

from antiphon.dialect import Part
from antiphon.engine.base import Piece
from antiphon.engine.tokenizer_json import TokenizerVocabulary
from antiphon.engine.vocabulary import Assembler, Vocabulary
from antiphon.errors import DialectError, ModelError
from tests.conftest import SHARED
from tests.engine.tiny import CONTROLS, tokenizer_json

REAL = ("qwen3", "r1-distill-qwen", "gpt-oss")
anything = st.text(st.characters(exclude_categories=("Cs",)))
surrogates = st.text(st.one_of(st.characters(), st.sampled_from("\ud800\udfff\ud83d\ude00")))


@cache
def vocabulary(name: str) -> TokenizerVocabulary:
    if name == "tiny":
        return TokenizerVocabulary.from_json(tokenizer_json())
    return TokenizerVocabulary.from_file(SHARED / "tokenizers" / name / "tokenizer.json")


@cache
def own(name: str) -> Tokenizer:
    """The model's own tokenizer, for comparison."""
    if name == "tiny":
        return Tokenizer.from_str(tokenizer_json())
    return Tokenizer.from_file(str(SHARED / "tokenizers" / name / "tokenizer.json"))


def normal(name: str, text: str) -> str:
    return text if name in ("gpt-oss", "tiny") else unicodedata.normalize("NFC", text)


def conversations(shared: Path) -> list[str]:
    data = json.loads((shared / "tokenizers" / "renderings.json").read_text("utf-8"))
    return [message["content"] for messages in data["conversations"].values() for message in messages]


def bytes_of(words: Vocabulary, ids: Any) -> bytes:
    return b"".join(words.bytes_of(token) for token in ids)


@pytest.mark.parametrize("name", REAL)
def test_real_texts_encode_as_the_models_own_tokenizer_does(shared: Path, name: str) -> None:
    words = vocabulary(name)
    control = re.compile("|".join(map(re.escape, words.controls)))
    compared = 0
    for text in conversations(shared):
        ids = words.encode(text)
        assert bytes_of(words, ids) == normal(name, text).encode()
        if not control.search(text):
            assert list(ids) == own(name).encode(text, add_special_tokens=False).ids
            compared += 1
    assert compared >= 8


@pytest.mark.parametrize("name", ["tiny", *REAL])
@given(text=anything)
def test_any_text_encodes_as_its_own_tokenizer_does(name: str, text: str) -> None:
    if name != "tiny" and not SHARED.is_dir():
        pytest.skip("needs ../shared, which is not here")
    words = vocabulary(name)
    ids = words.encode(text)
    if not any(token in text for token in words.controls):  # spelled, it is the control token to its own tokenizer
        assert list(ids) == own(name).encode(text, add_special_tokens=False).ids
    assert bytes_of(words, ids) == normal(name, text).encode()
    assert words.decode(ids) == normal(name, text)


@pytest.mark.parametrize("name", REAL)
def test_a_control_token_spelled_in_text_stays_letters(shared: Path, name: str) -> None:
    words = vocabulary(name)
    for token, number in words.controls.items():
        ids = words.encode(f"print {token} please")
        assert number not in ids
        assert bytes_of(words, ids).decode() == f"print {token} please"
        assert words.control_id(token) == number
        assert words.bytes_of(number) == token.encode()


def test_control_tokens_that_are_not_special_are_control_tokens(shared: Path) -> None:
    assert vocabulary("qwen3").control_id("<think>") == 151667
    assert vocabulary("r1-distill-qwen").control_id("<｜User｜>") == 151644
    assert vocabulary("gpt-oss").control_id("<|channel|>") == 200005
    assert vocabulary("gpt-oss").control_id("<think>") is None


def test_the_start_token_is_the_one_the_tokenizer_writes(shared: Path) -> None:
    assert vocabulary("r1-distill-qwen").start_id == 151646
    assert vocabulary("qwen3").start_id is None
    assert vocabulary("gpt-oss").start_id is None


@given(text=surrogates)
def test_lone_surrogates_are_read_as_replacement_characters(text: str) -> None:
    words = vocabulary("tiny")
    read = words.decode(words.encode(text))
    assert read == text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def test_characters_whose_bytes_are_no_tokens_are_read_as_replacement_characters() -> None:
    specification = json.loads(tokenizer_json())
    missing = "Ą"  # spells byte 0x04
    del specification["model"]["vocab"][missing]
    words = TokenizerVocabulary(specification)
    assert words.decode(words.encode("a\x04b")) == "a\ufffdb"


def test_parts_are_encoded_with_adjacent_texts_as_one() -> None:
    words = vocabulary("tiny")
    start, end = words.controls["<|start|>"], words.controls["<|end|>"]
    ids = words.encode_parts([Part("<|start|>", True), Part("the s"), Part("um"), Part("<|end|>", True)])
    assert list(ids) == [start, *words.encode("the sum"), end]
    with pytest.raises(DialectError, match="im_start"):
        words.encode_parts([Part("<|im_start|>", True)])


def sentencepiece(**changes: Any) -> dict[str, Any]:
    """A vocabulary of Llama 2's kind: blanks as ▁, a prefix blank, single bytes as <0xNN>."""
    strings = ["<unk>", "<s>", "<|x|>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", "a", "b", "▁a", "ab", "▁▁"]
    merges = [["▁", "a"], ["a", "b"], ["▁", "▁"]]
    model = {
        "type": "BPE",
        "vocab": {string: number for number, string in enumerate(strings)},
        "merges": merges,
        "byte_fallback": True,
        "fuse_unk": True,
        "unk_token": "<unk>",
    }
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "added_tokens": [{"id": number, "content": strings[number], "special": True, **flags} for number in (0, 1, 2)]
        + [{"id": strings.index("▁▁"), "content": "▁▁", "special": False, **flags}],
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                {"type": "Prepend", "prepend": "▁"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "▁"},
            ],
        },
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": model,
        **changes,
    }


@given(text=anything.filter(lambda text: "▁" not in text))
def test_sentencepiece_writes_any_text_and_adds_no_blank(text: str) -> None:
    words = TokenizerVocabulary(sentencepiece())
    assert bytes_of(words, words.encode(text)) == text.encode()


def test_sentencepiece_keeps_blanks_and_controls_apart() -> None:
    words = TokenizerVocabulary(sentencepiece())
    assert set(words.controls) == {"<unk>", "<s>", "<|x|>"}
    assert words.decode(words.encode("  a é<s>")) == "  a é<s>"
    assert words.controls["<s>"] not in words.encode("<s>")


def test_an_html_tag_is_text_where_the_file_does_not_call_it_special() -> None:
    """Gemma has `<table>` as a token; its `</s>` is the end of a stretch struck out, Llama's the end of the text."""
    told = sentencepiece()
    flags = told["added_tokens"][0]
    for token, (content, special) in enumerate([("<h1>", False), ("</h1>", True), ("<tool>", False)], 300):
        told["model"]["vocab"][content] = token
        told["added_tokens"].append({**flags, "id": token, "content": content, "special": special})
    words = TokenizerVocabulary(told)
    assert list(words.encode("a<h1></h1>"))[1] == 300
    assert words.controls.keys() >= {"</h1>", "<tool>"}
    assert "<h1>" not in words.controls
    assert words.piece(300) == Piece("<h1>", (300,))


def test_metaspace_adds_no_blank_in_mid_sequence() -> None:
    space = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False}
    words = TokenizerVocabulary(sentencepiece(normalizer=None, pre_tokenizer=space))
    assert words.decode(words.encode("ab ab")) == "ab ab"


def test_the_digest_tells_vocabularies_apart() -> None:
    plain = TokenizerVocabulary.from_json(tokenizer_json())
    again = TokenizerVocabulary.from_json(json.dumps(json.loads(tokenizer_json()), indent=1))
    started = TokenizerVocabulary.from_json(tokenizer_json("<|start|>"))
    assert plain.digest == again.digest != started.digest
    assert started.start_id == started.controls["<|start|>"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "not a tokenizer"),
        ("{}", "not a tokenizer"),
        (json.dumps({"added_tokens": [], "model": {"type": "WordPiece", "vocab": {"a": 0}}}), "WordPiece"),
        (json.dumps({"added_tokens": [], "model": {"type": "Unigram", "vocab": []}}), "Unigram"),
    ],
)
def test_other_files_are_refused_in_one_line(text: str, says: str) -> None:
    with pytest.raises(ModelError, match=says) as caught:
        TokenizerVocabulary.from_json(text, "here.json")
    assert "here.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_vocabulary_that_cannot_write_letters_is_refused() -> None:
    specification = json.loads(tokenizer_json())
    del specification["model"]["vocab"]["Q"]
    with pytest.raises(ModelError, match="0x51"):
        TokenizerVocabulary(specification)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        TokenizerVocabulary.from_file(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("name", ["tiny", *REAL])
@given(text=anything, data=st.data())
def test_pieces_are_whole_code_points_however_the_ids_come(name: str, text: str, data: st.DataObject) -> None:
    if name != "tiny" and not SHARED.is_dir():
        pytest.skip("needs ../shared, which is not here")
    words = vocabulary(name)
    ids = list(words.encode(text))
    assembler = Assembler(words)
    pieces = []
    while ids:
        size = data.draw(st.integers(1, len(ids)))
        pieces += assembler.push(ids[:size])
        del ids[:size]
    assert not assembler.pending
    assert not assembler.invalid
    assert "".join(piece.text for piece in pieces) == normal(name, text)
    assert [token for piece in pieces for token in piece.ids] == list(words.encode(text))
    for piece in pieces:
        assert words.decode(piece.ids) == piece.text
        smaller = [words.piece(token) for token in piece.ids]
        assert len(piece.ids) == 1 or smaller[0] is None


def byte_tokens(text: bytes) -> list[int]:
    """Single bytes of the tiny vocabulary."""
    single = {vocabulary("tiny").bytes_of(token): token for token in range(256)}
    return [single[bytes([byte])] for byte in text]


def test_a_split_character_is_one_piece_with_several_ids() -> None:
    assembler = Assembler(vocabulary("tiny"))
    ids = byte_tokens("é€".encode())
    assert assembler.push(ids[:1]) == []
    assert assembler.pending == 1
    pieces = assembler.push(ids[1:])
    assert [(piece.text, len(piece.ids)) for piece in pieces] == [("é", 2), ("€", 3)]


@pytest.mark.parametrize("bad", [b"\x80", b"\xc3a", b"\xed\xa0\x80", b"\xf5", b"\xe2\x82 "])
def test_bytes_that_are_not_utf8_end_it_and_are_in_no_piece(bad: bytes) -> None:
    assembler = Assembler(vocabulary("tiny"))
    assert [piece.text for piece in assembler.push(byte_tokens(b"ok" + bad + b"more"))] == ["o", "k"]
    assert assembler.invalid
    assert assembler.pending == len(bad) + 4
    assert assembler.push(byte_tokens(b"more")) == []


def test_a_replacement_character_that_the_model_wrote_is_kept() -> None:
    assembler = Assembler(vocabulary("tiny"))
    (piece,) = assembler.push(byte_tokens("\ufffd".encode()))
    assert piece.text == "\ufffd"
    assert not assembler.invalid


def test_an_id_that_is_no_token_is_invalid() -> None:
    words = vocabulary("tiny")
    assembler = Assembler(words)
    assert assembler.push([words.size]) == []
    assert assembler.invalid
    with pytest.raises(KeyError):
        words.bytes_of(words.size)


def test_control_tokens_are_pieces_spelled_out() -> None:
    words = vocabulary("tiny")
    assembler = Assembler(words)
    assert [piece.text for piece in assembler.push(words.controls.values())] == list(CONTROLS)
