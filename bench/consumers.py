"""What trainers make of exports: `PYTHON bench/consumers.py TRAINER FOLDER --student MODEL`, PYTHON the trainer's own.

FOLDER holds exports of one run as folders, called as their formats are, `parquet` among them. Each format of the
trainer is read, tokenised and masked by its own code; rows, texts and masks are compared with the responses in the
record, and a row of a batch of its collator is shown, what is trained on in double brackets.
"""

from __future__ import annotations

import argparse
import importlib.machinery
import importlib.util
import os
import sys
import tempfile
import types
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_OPENING = "<think>\n"


class Row(NamedTuple):
    """Token ids, and which of them are trained on."""

    ids: Sequence[int]
    trained: Sequence[bool]


class Read(NamedTuple):
    """All rows as a trainer has them, and the first of a batch."""

    format: str
    rows: Sequence[Row]
    first: Row


def labelled(ids: Sequence[int], labels: Sequence[int]) -> Row:
    return Row(ids, [label != -100 for label in labels])


def trl(folder: Path, student: str, work: str) -> Iterator[Read]:
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    columns = {
        "messages": ["messages"],
        "prompt_completion": ["prompt", "completion"],
        "tokens": ["input_ids", "attention_mask", "labels", "assistant_masks"],
    }
    tokenizer = AutoTokenizer.from_pretrained(student)
    model = AutoModelForCausalLM.from_pretrained(student)
    for format, names in columns.items():
        config = SFTConfig(work, max_length=None, report_to=[], use_cpu=True, bf16=False, per_device_train_batch_size=2)
        data = load_dataset(str(folder / format), split="train").select_columns(names)
        trainer = SFTTrainer(model, config, train_dataset=data, processing_class=tokenizer)
        rows = [labelled(row["input_ids"], row["labels"]) for row in trainer.train_dataset]
        batch = trainer.data_collator([trainer.train_dataset[number] for number in range(2)])
        yield Read(format, rows, labelled(batch["input_ids"][0].tolist(), batch["labels"][0].tolist()))


def llamafactory(folder: Path, student: str, work: str) -> Iterator[Read]:
    if importlib.util.find_spec("torchaudio") is None:  # imported for sounds, of which there are none
        sys.modules["torchaudio"] = module = types.ModuleType("torchaudio")
        module.__spec__ = importlib.machinery.ModuleSpec("torchaudio", None)
    from llamafactory.data import SFTDataCollatorWith4DAttentionMask, get_dataset, get_template_and_fix_tokenizer
    from llamafactory.hparams import get_train_args
    from llamafactory.model import load_tokenizer

    model, data, training, *_ = get_train_args(
        {
            "model_name_or_path": student,
            "stage": "sft",
            "do_train": True,
            "finetuning_type": "full",
            "dataset_dir": str(folder / "sharegpt"),
            "dataset": "sharegpt",
            "template": "qwen3",
            "cutoff_len": 100_000,
            "output_dir": work,
            "report_to": "none",
            "use_cpu": True,
        }
    )
    module = load_tokenizer(model)
    template = get_template_and_fix_tokenizer(module["tokenizer"], data)
    rows = get_dataset(template, model, data, training, stage="sft", **module)["train_dataset"]
    collator = SFTDataCollatorWith4DAttentionMask(
        template=template, model=None, tokenizer=module["tokenizer"], label_pad_token_id=-100
    )
    batch = collator([dict(rows[number]) for number in range(2)])
    yield Read(
        "sharegpt",
        [labelled(row["input_ids"], row["labels"]) for row in rows],
        labelled(batch["input_ids"][0].tolist(), batch["labels"][0].tolist()),
    )


def axolotl(folder: Path, student: str, work: str) -> Iterator[Read]:
    import yaml
    from axolotl.loaders import load_tokenizer
    from axolotl.utils.collators import DataCollatorForSeq2Seq
    from axolotl.utils.data import prepare_datasets
    from axolotl.utils.dict import DictDefault

    said = yaml.safe_load((folder / "axolotl" / "axolotl.yaml").read_text())
    said["datasets"][0]["path"] = str(folder / said["datasets"][0]["path"])
    config = DictDefault(
        {
            **said,
            "base_model": student,
            "tokenizer_config": student,
            "sequence_len": 100_000,
            "dataset_prepared_path": work,
            "dataset_num_proc": 1,
            "num_epochs": 1,
            "micro_batch_size": 2,
            "batch_size": 2,
            "gradient_accumulation_steps": 1,
            "val_set_size": 0,
            "world_size": 1,
            "seed": 1,
        }
    )
    tokenizer = load_tokenizer(config)
    rows, *_ = prepare_datasets(config, tokenizer)
    names = ("input_ids", "attention_mask", "labels")
    batch = DataCollatorForSeq2Seq(tokenizer)([{name: rows[number][name] for name in names} for number in range(2)])
    yield Read(
        "axolotl",
        [labelled(row["input_ids"], row["labels"]) for row in rows],
        labelled(batch["input_ids"][0].tolist(), batch["labels"][0].tolist()),
    )


def verl(folder: Path, student: str, work: str) -> Iterator[Read]:
    import yaml
    from omegaconf import OmegaConf
    from transformers import AutoTokenizer
    from verl.utils.dataset.dataset_utils import DatasetPadMode, SFTTensorCollator
    from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset

    said = yaml.safe_load((folder / "verl" / "verl.yaml").read_text())["data"]
    files = [str(folder / said.pop("train_files"))]
    tokenizer = AutoTokenizer.from_pretrained(student)
    config = OmegaConf.create({**said, "max_length": 100_000, "pad_mode": "no_padding"})
    data = MultiTurnSFTDataset(files, tokenizer, config)
    ones = [data[number] for number in range(len(data))]
    batch = SFTTensorCollator(DatasetPadMode.NO_PADDING)(ones[:2])
    ids, mask = (batch[name].unbind()[0].tolist() for name in ("input_ids", "loss_mask"))
    rows = [Row(one["input_ids"].tolist(), one["loss_mask"].bool().tolist()) for one in ones]
    yield Read("verl", rows, Row(ids, list(map(bool, mask))))


TRAINERS: dict[str, Callable[[Path, str, str], Iterator[Read]]] = {
    "trl": trl,
    "llamafactory": llamafactory,
    "axolotl": axolotl,
    "verl": verl,
}


def shown(row: Row, decode: Callable[[list[int]], str]) -> str:
    text, on = "", False
    for token, trained in zip(row.ids, row.trained, strict=True):
        if trained != on:
            text, on = text + ("]]" if on else "[["), trained
        text += decode([token])
    return text + ("]]" if on else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("trainer", choices=TRAINERS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--student", required=True)
    given = parser.parse_args()
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    import pyarrow.parquet
    from transformers import AutoTokenizer

    decode: Any = AutoTokenizer.from_pretrained(given.student).decode
    end = AutoTokenizer.from_pretrained(given.student).eos_token
    record = pyarrow.parquet.read_table(given.folder / "parquet" / "data" / "train.parquet")["response"].to_pylist()
    with tempfile.TemporaryDirectory() as work:
        os.environ["HF_DATASETS_CACHE"] = f"{work}/cache"
        for format, rows, first in TRAINERS[given.trainer](given.folder, given.student, f"{work}/out"):
            # A trainer may have sorted the rows; each response is to be found once.
            texts = sorted(decode(list(row.ids)) for row in rows)
            trained = [decode([id for id, on in zip(row.ids, row.trained, strict=True) if on]) for row in rows]
            wanted = sorted(response + end for response in record)
            masks = {
                "the response": wanted,
                "the response but its opening": sorted(text.removeprefix(_OPENING) for text in wanted),
                "everything": [text.removesuffix("\n") for text in texts],
            }
            found = sum(any(text.removesuffix("\n").endswith(one + end) for text in texts) for one in record)
            said = sorted(text.removesuffix("\n") for text in trained)
            mask = next((name for name, expected in masks.items() if said == expected), "something else")
            print(
                f"{format} in {given.trainer}: {len(rows)} rows of {len(record)}, {found} responses found,"
                f" trained on: {mask}\n{shown(first, decode)!r}\n"
            )


if __name__ == "__main__":
    main()
