"""What models take, what devices have, and how it is shared: all before anything is loaded."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engine.launch.device import cores, gpus, memory
from antiphon.engine.launch.share import Size, shares
from antiphon.engine.launch.size import of_folder, of_gguf
from antiphon.errors import ModelError
from tests.engine.servers import folder, gguf

GIB = 1 << 30
LISTED = """0, GPU-aa, NVIDIA H100 80GB HBM3, 81559, 81000
1, GPU-bb, NVIDIA H100 80GB HBM3, 81559, 12
"""


def size(name: str, weights: float, **changes: Any) -> Size:
    """So many GiB of weights in 16 bits, and 1 MiB a token."""
    about = {"token": 1 << 20, "least": 4096, "most": 65536, "overhead": 1 << 30}
    few = int(weights * 0.3 * GIB)
    return Size(name, int(weights * GIB), **{**about, "few_bits": few, **changes})


sizes = st.builds(
    Size,
    name=st.just("m"),
    weights=st.integers(0, 60 * GIB),
    token=st.integers(0, 1 << 20),
    least=st.integers(0, 4096),
    most=st.integers(4096, 1 << 20),
    overhead=st.integers(0, GIB),
    few_bits=st.none() | st.integers(0, 20 * GIB),
)


@given(st.lists(sizes, min_size=1, max_size=3), st.lists(st.integers(GIB, 100 * GIB), min_size=1, max_size=3))
def test_each_has_what_it_needs_and_no_device_is_overdrawn(models: list[Size], devices: list[int]) -> None:
    try:
        given = shares(models, devices)
    except ModelError:
        assert sum(model.need for model in models) > min(devices)
        return
    for model, share in zip(models, given, strict=True):
        assert model.need <= share.memory <= model.need + (model.most - model.least) * model.token
    for place, device in enumerate(devices):
        assert sum(share.memory for share in given if share.device == place) <= device


@given(sizes, sizes, st.integers(GIB, 200 * GIB))
def test_two_are_refused_on_one_device_if_and_only_if_they_do_not_fit(one: Size, other: Size, device: int) -> None:
    if one.need + other.need <= device:
        shares([one, other], [device])
    else:
        with pytest.raises(ModelError):
            shares([one, other], [device])


def test_what_is_left_is_shared_by_what_can_be_used() -> None:
    small, large = shares([size("s", 4, most=8192), size("l", 20)], [60 * GIB])
    assert small.memory < large.memory
    assert 59.9 * GIB < small.memory + large.memory <= 60 * GIB
    (alone,) = shares([size("s", 4, most=8192)], [60 * GIB])
    assert alone.memory == 13 * GIB


def test_two_devices_have_a_model_each_and_a_choice_is_kept() -> None:
    pair = [size("s", 4), size("l", 20)]
    assert {share.device for share in shares(pair, [40 * GIB, 40 * GIB])} == {0, 1}
    pinned = [size("s", 4, where=[1]), size("l", 20, where=[1])]
    assert {share.device for share in shares(pinned, [40 * GIB, 40 * GIB])} == {1}


@pytest.mark.parametrize(
    ("models", "device", "advice"),
    [
        ([size("teacher", 60), size("student", 16)], 73, "A 4-bit teacher of about 18.0 GiB would fit"),
        ([size("teacher", 60), size("student", 60)], 60, "A 4-bit teacher of about 18.0 GiB and a 4-bit student of"),
        ([size("teacher", 60, few_bits=None), size("student", 16)], 73, "Take smaller models, or give the URL"),
        ([size("teacher", 40), size("student", 16, least=40960)], 73, "A shorter context or fewer slots would fit"),
        ([size("teacher", 100)], 73, "A 4-bit teacher of about 30.0 GiB would fit"),
    ],
)
def test_what_would_fit_is_said(models: list[Size], device: int, advice: str) -> None:
    with pytest.raises(ModelError, match=re.escape(advice)) as caught:
        shares(models, [device * GIB])
    said = str(caught.value)
    assert f"there is {device}.0 GiB to give" in said
    for model in models:
        assert f"{model.name} needs {model.need / GIB:.1f} GiB" in said
    assert "\n" not in said


def test_a_gguf_file_is_measured_without_its_weights(tmp_path: Path) -> None:
    model = of_gguf(gguf(tmp_path / "m.gguf"))
    assert model.token == 4 * 2 * (64 + 64) * 2
    assert model.context == 8192
    assert model.weights == (tmp_path / "m.gguf").stat().st_size
    assert model.few_bits is not None
    assert model.few_bits < model.weights / 3
    assert not model.sliding
    assert model.template
    each = {"llama.attention.head_count_kv": [2, 0, 0, 2], "llama.attention.key_length": 128}
    mixed = of_gguf(gguf(tmp_path / "x.gguf", **each, general__file_type=15))
    assert mixed.token == (2 + 2) * (128 + 64) * 2
    assert mixed.few_bits is None


def test_all_parts_of_a_divided_file_count(tmp_path: Path) -> None:
    parts = [gguf(tmp_path / f"m[1]-0000{number}-of-00003.gguf") for number in (1, 2, 3)]
    gguf(tmp_path / "m[1]-00001-of-00004.gguf")
    assert of_gguf(parts[0]).weights == sum(part.stat().st_size for part in parts)


def test_a_folder_is_measured_by_its_headers(tmp_path: Path) -> None:
    tensors = {"a": ("BF16", 1000), "b": ("F32", 400), "c": ("F8_E4M3", 30)}
    model = of_folder(folder(tmp_path / "hf", tensors))
    assert model.weights == 1000 + 200 + 30
    assert model.token == 4 * 2 * 2 * 64 * 2
    assert model.context == 40960
    latent = of_folder(folder(tmp_path / "mla", kv_lora_rank=512, qk_rope_head_dim=64))
    assert latent.token == 4 * 576 * 2
    layers = ["full_attention", "sliding_attention", "linear_attention"]
    mixed = of_folder(folder(tmp_path / "mixed", layer_types=layers, head_dim=128))
    assert mixed.token == 2 * 2 * 2 * 128 * 2
    assert mixed.sliding
    nested = {"text_config": {"num_key_value_heads": 1}, "quantization_config": {"quant_method": "mxfp4"}}
    quantised = of_folder(folder(tmp_path / "nested", **nested))
    assert quantised.token == 4 * 2 * 1 * 64 * 2
    assert quantised.few_bits is None


def test_only_the_files_that_the_index_names_count(tmp_path: Path) -> None:
    place = folder(tmp_path / "hf", {"w": ("BF16", 4000)})
    (place / "consolidated.safetensors").write_bytes((place / "model.safetensors").read_bytes())
    assert of_folder(place).weights == 4000
    (place / "model.safetensors.index.json").write_text('{"weight_map": {"w": "consolidated.safetensors"}}')
    assert of_folder(place).weights == 4000
    for file in place.glob("*.safetensors*"):
        file.unlink()
    with pytest.raises(ModelError, match="it holds no weights"):
        of_folder(place)
    (place / "pytorch_model.bin").write_bytes(b"12345")
    assert of_folder(place).weights == 5


@given(st.binary(max_size=40))
def test_a_damaged_file_is_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    place = folder(tmp_path_factory.mktemp("damaged") / "hf")
    (place / "model.safetensors").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.safetensors: not a whole safetensors file"):
        of_folder(place)


def test_a_file_that_was_not_fetched_whole_is_refused(tmp_path: Path) -> None:
    place = folder(tmp_path / "hf", {"a": ("BF16", 1000), "b": ("BF16", 1000)})
    whole = (place / "model.safetensors").read_bytes()
    (place / "model.safetensors").write_bytes(whole[:-1])
    with pytest.raises(ModelError, match=r"model\.safetensors: not a whole safetensors file"):
        of_folder(place)


def test_a_shape_that_says_too_little_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="says no block_count"):
        of_gguf(gguf(tmp_path / "m.gguf", llama__block_count=None))
    place = folder(tmp_path / "hf")
    (place / "config.json").write_text("{}")
    with pytest.raises(ModelError, match="says no num_hidden_layers"):
        of_folder(place)


def test_gpus_are_those_that_may_be_seen_in_their_order() -> None:
    first, second = gpus(lambda: LISTED, {})
    assert (first.name, first.uuid) == ("GPU 0 (NVIDIA H100 80GB HBM3)", "GPU-aa")
    assert first.total == 81559 << 20
    assert second.free == 12 << 20
    assert gpus(lambda: LISTED, {"CUDA_VISIBLE_DEVICES": "1, 0"}) == [second, first]
    assert gpus(lambda: LISTED, {"CUDA_VISIBLE_DEVICES": "GPU-bb"}) == [second]
    assert gpus(lambda: LISTED, {"CUDA_VISIBLE_DEVICES": ""}) == []
    assert gpus(lambda: "No devices were found\n", {}) == []
    assert gpus(lambda: "", {}) == []
    (shared,) = gpus(lambda: "0, GPU-cc, NVIDIA GB10, [N/A], [N/A]\n", {})
    assert shared.total == memory().total


def test_the_machine_says_what_it_has() -> None:
    own = memory()
    assert 0 < own.free <= own.total
    assert not own.is_gpu
    assert cores()
