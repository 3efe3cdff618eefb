"""Training the embedded student: what TRL would do, what is weighted and masked, and what goes on after what."""

from __future__ import annotations

import json
import math
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from antiphon.engine.model_files import ModelFiles
from antiphon.errors import AntiphonError, MissingDependency, ModelError, SettingsError, StoreFull, UsageError
from antiphon.trace import Kind
from antiphon.train.folder import Folder
from antiphon.train.plan import Plan
from antiphon.train.recipe import Recipe, recipe
from antiphon.train.rows import Count, training_rows
from antiphon.train.sft import plan, train
from antiphon.train.tell import Progress, Trained
from tests.train.data import STUDENT, row, rows, write

pytestmark = pytest.mark.usefixtures("one_thread")

LAB = ModelFiles.read("lab:student").path
ROWS = rows(12)
HOW = recipe("lab", {"steps": 6, "batch": 4, "rate": 1e-3, "save_every": 2})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("data") / "data.jsonl", ROWS)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Trained:
    """A training from its beginning to its end."""
    return train(data, "lab:student", tmp_path_factory.mktemp("undisturbed") / "to", HOW, save_at=[3, 6])


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same(one: Path, other: Path) -> bool:
    ours, theirs = weights(one), weights(other)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


def stop_after(step: int) -> tuple[Callable[[Progress], None], Callable[[], bool]]:
    """A `watch` and an `asked_to_stop` that end a training after a step."""
    done: list[int] = []
    return (lambda now: done.append(now.step)), (lambda: bool(done) and done[-1] >= step - 1)


def test_what_is_left_is_the_student_with_other_weights(undisturbed: Trained) -> None:
    assert list(undisturbed.checkpoints) == [3, 6]
    for folder in undisturbed.checkpoints.values():
        files = ModelFiles.read(str(folder))
        student = ModelFiles.read("lab:student")
        assert {**files.identity, "model": ""} == {**student.identity, "model": ""}
        assert not same(folder, LAB)
    assert not same(undisturbed.checkpoints[3], undisturbed.model)
    curve = json.loads(undisturbed.curve.read_text())
    assert [point["step"] for point in curve] == [1, 2, 3, 4, 5, 6]
    assert all(math.isfinite(point["loss"]) for point in curve)
    assert undisturbed.curve.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    left = {path.name for path in undisturbed.model.parent.iterdir()}
    assert left == {"training.json", "curve.json", "curve.png", "checkpoints", "model"}


def test_a_trained_student_runs_and_can_be_trained_further(undisturbed: Trained, data: Path, tmp_path: Path) -> None:
    import asyncio

    from antiphon.engine.local import LocalEngine

    async def score() -> list[float]:
        engine = LocalEngine.load(str(undisturbed.model), device="cpu")
        return await engine.score(ROWS[0]["input_ids"])

    assert all(math.isfinite(chance) for chance in asyncio.run(score()))
    further = train(data, str(undisturbed.model), tmp_path / "to", recipe("lab", {"steps": 1, "batch": 4, "warmup": 0}))
    assert not same(further.model, undisturbed.model)


@pytest.mark.parametrize("lora", [None, {"rank": 4, "alpha": 8, "dropout": 0.1}], ids=["full", "lora"])
def test_a_stopped_training_goes_on_to_the_same_weights(
    undisturbed: Trained, data: Path, tmp_path: Path, lora: dict[str, Any] | None
) -> None:
    how = HOW if lora is None else recipe("lab", {**HOW.model_dump(exclude={"epochs"}), "lora": lora})
    whole = undisturbed
    if lora is not None:
        whole = train(data, "lab:student", tmp_path / "whole", how, save_at=[3, 6])
    for step in (2, 4):
        watch, asked = stop_after(step)
        with pytest.raises(KeyboardInterrupt):
            train(data, "lab:student", tmp_path / "to", how, save_at=[3, 6], watch=watch, asked_to_stop=asked)
    plans: list[Plan] = []
    again = train(data, "lab:student", tmp_path / "to", how, save_at=[3, 6], on_plan=plans.append)
    assert plans[0].done >= 4
    for step in (3, 6):
        assert same(again.checkpoints[step], whole.checkpoints[step])
    assert again.curve.read_text() == whole.curve.read_text()


def test_what_is_finished_is_given_at_once_and_nothing_else_is_trained_there(undisturbed: Trained, data: Path) -> None:
    to = undisturbed.model.parent

    def never(_: object) -> None:
        raise AssertionError

    assert train(data, "lab:student", to, HOW, save_at=[3, 6], watch=never, on_plan=never) == undisturbed
    with pytest.raises(SettingsError, match=r"begun there with recipe\.rate 0\.001, now 0\.002; name another folder"):
        train(data, "lab:student", to, HOW.model_copy(update={"rate": 2e-3}), save_at=[3, 6])
    with pytest.raises(SettingsError, match=r"student\.model .* student\.weights"):
        train(data, "lab:teacher", to, HOW, save_at=[3, 6])


def test_other_data_are_another_training(undisturbed: Trained, tmp_path: Path) -> None:
    other = write(tmp_path / "data.jsonl", ROWS[:-1])
    with pytest.raises(SettingsError, match='with data "'):
        train(other, "lab:student", undisturbed.model.parent, HOW, save_at=[3, 6])


def test_what_was_refused_leaves_the_folder_free(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="it takes"):
        train(data, "lab:student", tmp_path / "to", HOW, room=1000)
    with pytest.raises(SettingsError, match="save_at 9: the training has 2 steps"):
        train(data, "lab:student", tmp_path / "to", HOW.model_copy(update={"steps": 2}), save_at=[9])
    trained = train(data, "lab:student", tmp_path / "to", recipe("lab", {"epochs": 1, "batch": 4}))
    assert trained.checkpoints == {3: trained.model}


def test_each_epoch_is_kept(data: Path, tmp_path: Path) -> None:
    trained = train(data, "lab:student", tmp_path / "to", recipe("lab", {"epochs": 3, "batch": 6}))
    assert list(trained.checkpoints) == [2, 4, 6]
    assert trained.checkpoints[6] == trained.model


# --- the loss


class Bench:
    """One trainer on given rows, asked for losses without a step being made."""

    def __init__(self, tmp_path: Path, made: list[dict[str, Any]], how: Recipe):
        from datasets import Dataset
        from transformers import AutoTokenizer

        from antiphon.train.fitting import Collator, Fitting
        from antiphon.train.libraries import configuration, load_student, quiet

        read = training_rows(write(tmp_path / "bench.jsonl", made), STUDENT, how, 1024, Count())
        columns = []
        for number, one in enumerate(read):
            labels = [id if weight else -100 for id, weight in zip(one.ids, one.weights, strict=True)]
            columns.append({"row": number, "input_ids": one.ids, "labels": labels})
            if how.loss == "style_down":
                columns[-1]["weights"] = one.weights
        self.rows = columns
        with quiet():
            self.model, dtype = load_student(LAB, how)
            tokenizer = AutoTokenizer.from_pretrained(LAB)
            self.trainer = Fitting(
                folder=Folder(tmp_path / "bench"),
                source=LAB,
                dtype=dtype,
                kept=(),
                names=[one["id"] for one in made],
                model=self.model,
                args=configuration(how, Folder(tmp_path / "bench"), {}),
                train_dataset=Dataset.from_list(columns),
                data_collator=Collator(pad_token_id=tokenizer.pad_token_id),
                processing_class=tokenizer,
            )

    def loss(self, *batches: list[int]) -> torch.Tensor:
        """The loss of a step of these micro-batches of rows, differentiated."""
        self.model.train()
        made = [self.trainer.data_collator([self.rows[number] for number in batch]) for batch in batches]
        items = self.trainer._get_num_items_in_batch(made, torch.device("cpu"))
        total = torch.zeros(())
        for batch in made:
            batch.pop("rows")
            loss = self.trainer.compute_loss(self.model, batch, num_items_in_batch=items)
            loss.backward()
            total += loss.detach()
        return total

    def by_hand(self, weight: Callable[[int, int], float]) -> float:
        """The mean of all rows' tokens' losses by their weights, from the logits."""
        cost = total = 0.0
        for number, one in enumerate(self.rows):
            with torch.no_grad():
                chances = self.model(torch.tensor([one["input_ids"]])).logits[0].log_softmax(-1)
            for place in range(1, len(one["input_ids"])):
                cost -= weight(number, place) * chances[place - 1, one["input_ids"][place]].item()
                total += weight(number, place)
        return cost / total


def _kind(number: int, place: int) -> int:
    kind: int = ROWS[number]["kind"][place]
    return kind


ARMS: dict[str, Callable[[int, int], float]] = {
    "all": lambda number, place: float(_kind(number, place) != 0),
    "capability": lambda number, place: float(_kind(number, place) == 2),
    "style_down": lambda number, place: (0.0, 0.25, 1.0, 1.0, 1.0, 1.0)[_kind(number, place)],
    "answer": lambda number, place: float(4 in ROWS[number]["kind"][: place + 1]),
}


@pytest.mark.parametrize("loss", ARMS)
def test_a_loss_is_the_mean_of_what_is_learned(tmp_path: Path, loss: str) -> None:
    bench = Bench(tmp_path, ROWS[:4], recipe("lab", {"loss": loss, "style_weight": 0.25, "batch": 4}))
    assert bench.loss([0, 1, 2, 3]).item() == pytest.approx(bench.by_hand(ARMS[loss]), rel=1e-5)
    assert bench.loss([0, 1], [2], [3]).item() == pytest.approx(bench.by_hand(ARMS[loss]), rel=1e-5)


@pytest.mark.parametrize("loss", ARMS)
def test_masked_tokens_change_nothing(tmp_path: Path, loss: str) -> None:
    """What predicts a masked token has no gradient: neither it nor its place teaches anything."""
    turns = [(Kind.STYLE, "Okay, so"), (Kind.CAPABILITY, " units 2x3=6"), (Kind.STYLE, " and"), (Kind.CAPABILITY, " 3")]
    made = row("a", "What is 12 times 3?", turns, "So it is 36.")
    bench = Bench(tmp_path, [made], recipe("lab", {"loss": loss, "style_weight": 0.25}))
    gradients: list[torch.Tensor] = []

    def hook(module: object, inputs: object, output: torch.Tensor) -> None:
        output.register_hook(gradients.append)

    bench.model.model.norm.register_forward_hook(hook)
    bench.loss([0])
    taught = gradients[0][0].abs().sum(dim=-1) > 0
    kinds = made["kind"]
    learned = {
        "all": [kind != 0 for kind in kinds],
        "capability": [kind == 2 for kind in kinds],
        "style_down": [kind != 0 for kind in kinds],
        "answer": [4 in kinds[: place + 1] for place in range(len(kinds))],
    }[loss]
    assert taught.tolist() == [*learned[1:], False]


def test_with_loss_all_a_training_is_trls_own(data: Path, undisturbed: Trained, tmp_path: Path) -> None:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    from antiphon.train.libraries import quiet

    with quiet():
        trainer = SFTTrainer(
            model=AutoModelForCausalLM.from_pretrained(LAB, dtype=torch.float32),
            args=SFTConfig(
                output_dir=str(tmp_path),
                max_steps=6,
                per_device_train_batch_size=4,
                learning_rate=1e-3,
                lr_scheduler_type="cosine_with_min_lr",
                lr_scheduler_kwargs={"min_lr_rate": 0.1},
                warmup_steps=0.1,
                weight_decay=0.01,
                max_length=None,
                seed=0,
                bf16=False,
                activation_checkpointing=False,
                use_cpu=True,
                dataloader_pin_memory=False,
                save_strategy="no",
                report_to=[],
                disable_tqdm=True,
                logging_strategy="no",
            ),
            train_dataset=Dataset.from_list([{key: one[key] for key in ("input_ids", "labels")} for one in ROWS]),
            processing_class=AutoTokenizer.from_pretrained(LAB),
        )
        trainer._send_telemetry = lambda: None
        trainer.train()
    theirs, ours = trainer.model.state_dict(), weights(undisturbed.model)
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)


def test_a_style_weight_of_one_is_all(data: Path, undisturbed: Trained, tmp_path: Path) -> None:
    how = HOW.model_copy(update={"loss": "style_down", "style_weight": 1.0})
    trained = train(data, "lab:student", tmp_path / "to", how, save_at=[6])
    for name, ours in weights(trained.model).items():
        assert torch.allclose(ours, weights(undisturbed.model)[name], atol=1e-6)


def test_the_model_at_the_end_is_the_students_weights_and_loras(data: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    from antiphon.train.libraries import quiet

    how = recipe("lab", {"steps": 3, "batch": 4, "rate": 1e-2, "warmup": 0, "lora": {"rank": 4}})
    trained = train(data, "lab:student", tmp_path / "to", how)
    with quiet():
        base = AutoModelForCausalLM.from_pretrained(LAB, dtype=torch.float32)
        merged = PeftModel.from_pretrained(base, trained.model.parent / "adapter").merge_and_unload().state_dict()
    ours, student = weights(trained.model), weights(LAB)
    assert all(torch.allclose(merged[name], ours[name], atol=1e-6) for name in ours)
    changed = {name for name in ours if not torch.equal(ours[name], student[name].float())}
    assert changed == {name for name in ours if "_proj" in name}


def test_embeddings_that_are_tied_are_written_once(data: Path, tmp_path: Path) -> None:
    """A student of another type of number than it is trained in, as most are."""
    from transformers import AutoModelForCausalLM

    student = tmp_path / "student"
    shutil.copytree(LAB, student)
    narrow = {name: weight.bfloat16() for name, weight in weights(LAB).items()}
    save_file(narrow, student / "model.safetensors", {"format": "pt"})
    config = json.loads((LAB / "config.json").read_text())
    (student / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    trained = train(data, str(student), tmp_path / "to", recipe("lab", {"steps": 1, "batch": 2}))
    assert {name: weight.dtype for name, weight in weights(trained.model).items()} == dict.fromkeys(
        narrow, torch.bfloat16
    )
    model = AutoModelForCausalLM.from_pretrained(trained.model)
    assert model.lm_head.weight is model.model.embed_tokens.weight


# --- what goes wrong


def test_a_loss_that_is_no_number_stops_and_names_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss of one row, the only one with its first token, is no number."""
    from trl import SFTTrainer

    odd, compute_loss = STUDENT.vocabulary.encode("§")[0], SFTTrainer.compute_loss
    assert all(odd not in one["input_ids"] for one in ROWS)

    def broken(self: Any, model: Any, inputs: dict[str, Any], *rest: Any) -> torch.Tensor:
        loss: torch.Tensor = compute_loss(self, model, inputs, *rest)
        return loss * math.nan if (inputs["input_ids"] == odd).any() else loss

    monkeypatch.setattr(SFTTrainer, "compute_loss", broken)
    bad = {**ROWS[0], "id": "the bad one", "input_ids": [odd, *ROWS[0]["input_ids"][1:]]}
    data = write(tmp_path / "data.jsonl", [*ROWS[1:8], bad])
    how = recipe("lab", {"steps": 8, "batch": 1, "save_every": 1})
    with pytest.raises(AntiphonError, match=r"the loss is no number at step \d, rows the bad one; .*is kept") as error:
        train(data, "lab:student", tmp_path / "to", how)
    step = int(str(error.value).split("step ")[1].split(",")[0])
    assert (tmp_path / "to" / "states" / str(step - 1)).is_dir()
    assert not (tmp_path / "to" / "model").exists()


def test_weights_that_are_no_numbers_are_not_kept(data: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(LAB, broken)
    content = weights(LAB)
    content["model.embed_tokens.weight"][STUDENT.vocabulary.encode("§")[0]] = math.nan
    content["lm_head.weight"] = weights(LAB)["model.embed_tokens.weight"].clone()
    save_file(content, broken / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps({**config, "tie_word_embeddings": False}))
    with pytest.raises(AntiphonError, match="the weights are no numbers after step 2; no state was written before"):
        train(data, str(broken), tmp_path / "to", HOW)
    assert not (tmp_path / "to" / "states" / "2").exists()


@pytest.mark.parametrize(("step", "target", "whole"), [(3, "checkpoints/3", [2]), (4, "states/4", [2, 3])])
def test_a_full_disk_leaves_the_state_before(
    data: Path, undisturbed: Trained, tmp_path: Path, step: int, target: str, whole: list[int]
) -> None:
    """The system refuses files over a limit, as it refuses any on a full disk, once this step is done."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def watch(now: Progress) -> None:
        if now.step == step:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))

    try:
        with pytest.raises(StoreFull, match=rf"{target}: cannot be written \(.*the same command goes on"):
            train(data, "lab:student", tmp_path / "to", HOW, save_at=[3, 6], watch=watch)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(Folder(tmp_path / "to").states_by_step()) == whole
    again = train(data, "lab:student", tmp_path / "to", HOW, save_at=[3, 6])
    assert same(again.model, undisturbed.model)


def test_what_cannot_be_trained(data: Path, tmp_path: Path) -> None:
    for student, says in {
        "http://server/v1": "a server cannot be trained",
        "missing": "there is no such model",
    }.items():
        with pytest.raises(ModelError, match=says):
            train(data, student, tmp_path / "to", HOW)
    with pytest.raises(UsageError, match="no row to train on"):
        train(write(tmp_path / "empty.jsonl", []), "lab:student", tmp_path / "to", HOW)
    masked = {**ROWS[0], "labels": [-100] * len(ROWS[0]["labels"])}
    with pytest.raises(UsageError, match=r"no row to train on \(2 nothing to train on\)"):
        train(write(tmp_path / "masked.jsonl", [masked] * 2), "lab:student", tmp_path / "to", HOW)
    with pytest.raises(UsageError, match=r"no row to train on \(12 longer than 5 tokens\)"):
        train(data, "lab:student", tmp_path / "to", HOW.model_copy(update={"max_length": 5}))


WATCHED = """
import sys
from antiphon.cli.app import app
try:
    app(sys.argv[1:])
finally:
    print(*sorted({"torch", "transformers", "trl"} & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("how", ["--to", "--dry-run"])
def test_that_there_is_no_row_is_said_before_anything_heavy_is_loaded(tmp_path: Path, how: str) -> None:
    empty, to = write(tmp_path / "empty.jsonl", []), [tmp_path / "to"] if how == "--to" else []
    words = ["train", "--data", empty, "--student", "lab:student", "--preset", "lab", how, *to]
    done = subprocess.run([sys.executable, "-c", WATCHED, *map(str, words)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, f"error: {empty}: no row to train on (it holds none)\n\n")


def test_gguf_files_are_not_trained(data: Path, tmp_path: Path) -> None:
    from tests.live.lab_gguf import write as write_gguf

    file = write_gguf(LAB, tmp_path / "student.gguf")
    with pytest.raises(ModelError, match="a GGUF file cannot be trained"):
        plan(data, str(file), HOW)


def test_fields_of_trl(data: Path, tmp_path: Path) -> None:
    for given, says in (
        ({"speed": 1}, "trainer: SFTConfig has no field 'speed'"),
        ({"learning_rate": 1}, "trainer: learning_rate follows from the recipe"),
        ({"logging_steps": "often"}, "trainer: .*'str' and 'int'"),
        ({"report_to": ["nothing"]}, "the trainer cannot be made: nothing is not supported"),
    ):
        with pytest.raises(SettingsError, match=says):
            train(data, "lab:student", tmp_path / "to", HOW, trainer=given)


def test_without_the_extra(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "trl", None)
    with pytest.raises(MissingDependency, match=r"training a student needs trl; .*'antiphon\[train\]'"):
        train(data, "lab:student", tmp_path / "to", HOW)


def test_a_plan_counts_and_shows_and_writes_nothing(data: Path) -> None:
    told = plan(data, "lab:student", recipe("lab", {"loss": "style_down", "style_weight": 0.5, "batch": 4}))
    assert told.count.rows == len(ROWS)
    assert told.count.tokens == sum(len(one["input_ids"]) for one in ROWS)
    assert told.count.trained == sum(label != -100 for one in ROWS for label in one["labels"])
    assert (told.steps, told.steps_per_epoch, told.limit) == (300, 3, 1024)
    assert "".join(text for text, _ in told.shown) == STUDENT.vocabulary.decode(ROWS[0]["input_ids"])
    assert {weight for _, weight in told.shown} == {0.0, 0.5, 1.0}
    assert told.memory.parameters == sum(tensor.numel() for tensor in weights(LAB).values())
