"""Every shipped recipe runs two steps through the command, on small made-up data in each source's own format.

Tiny recipes run with the shipped model; recipes for large models with a random one of their architecture.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from quince.data.function_calling.adapters.bfcl import GROUPS
from quince.recipes.cli import main
from quince.recipes.config import library_recipes, load_recipe
from quince.recipes.config.dpo import DpoRecipe
from quince.recipes.config.pretrain import PretrainRecipe
from quince.recipes.config.rlvr import RlvrRecipe
from quince.recipes.config.sft import SftRecipe
from quince.recipes.run import pipeline

pytestmark = [pytest.mark.slow, pytest.mark.spread]

RECIPES = {name: load_recipe(name).recipe for name in library_recipes()}
RLVR, EVAL, PRETRAIN = (
    {name: recipe for name, recipe in RECIPES.items() if recipe.kind == kind} for kind in ("rlvr", "eval", "pretrain")
)
COMPRESSION_EVAL = {name: recipe for name, recipe in RECIPES.items() if recipe.kind == "compression_eval"}
TUNING = {name: recipe for name, recipe in RECIPES.items() if recipe.kind in ("sft", "dpo")}
PIPELINES = {name: recipe for name, recipe in RECIPES.items() if recipe.kind == "pipeline"}
ARCHITECTURES = {
    "meta-llama/Llama-3.1-8B-Instruct": "llama",
    "Qwen/Qwen2.5-Math-7B": "qwen2",
    "Qwen/Qwen3-4B": "qwen3",
    "Qwen/Qwen3-0.6B": "qwen3",
    "Qwen/Qwen3-8B": "qwen3",
    "Qwen/Qwen3-1.7B": "qwen3",
    "Qwen/Qwen3-4B-Instruct-2507": "qwen3",
    "lmsys/vicuna-7b-v1.5": "llama",
    "INSAIT-Institute/BgGPT-Gemma-2-2.6B-IT-v1.0": "gemma2",
    "INSAIT-Institute/BgGPT-Gemma-2-9B-IT-v1.0": "gemma2",
    "INSAIT-Institute/BgGPT-Gemma-2-27B-IT-v1.0": "gemma2",
}
TURN_TOKENS = {
    "gemma2": ["<bos>", "<start_of_turn>", "<end_of_turn>"],
    "llama": ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<|python_tag|>"],
}
"""What the tokenizer of a family has, so that its chat template can be used."""
SHORT = [
    "trainer.max_steps=2",
    "trainer.save_steps=1",
    "trainer.num_generations=4",
    "trainer.per_device_train_batch_size=4",
    "trainer.disable_tqdm=true",
]
ONE_CPU = [
    "launch={processes: 1}",
    "trainer.use_vllm=false",
    "trainer.bf16=false",
    "trainer.gradient_accumulation_steps=2",
    "trainer.steps_per_generation=4",
    "trainer.max_completion_length=8",
    "rehearsal.batch_size=4",
]
LONGEST = 2048
"""Tokens of a pack: all conversations but the longest fit."""
SHORT_CAPSULES = ["limit=3", "max_tokens=8", "latency={batches: [2], repeats: 1}", "engine={kind: transformers}"]
LUCK = "rewards=[{kind: format, pattern: '(?s)[^e]*'}]"
"""A reward that a random model earns about half of the time."""
PRETRAINING = [
    "tokenizer={vocab_size: 640, rows_per_source: 40}",
    "architecture={hidden_size: 16, layers: 2, heads: 2, kv_heads: 1, head_dim: 8, intermediate_size: 32}",
    "trainer.max_steps=2",
    "trainer.logging_steps=1",
    "trainer.per_device_train_batch_size=8",
]


@pytest.fixture(scope="module", autouse=True)
def made_up_data(tmp_path_factory):
    """A `QUINCE_DATA` with a few records of every benchmark, in its own layout."""
    root = tmp_path_factory.mktemp("data")
    for file, record in PUBLIC_RECORDS.items():
        lines = [json.dumps(vary(record, number)) for number in range(RECORDS)]
        write(root / f"{file}.jsonl", "\n".join(lines))
    for folder, files in (("spider", ("train_spider", "dev")), ("bird", ("train/train", "dev/dev"))):
        for file in files:
            write(root / folder / f"{file}.json", json.dumps(SQL_QUESTIONS))
    for file, record in tool_records().items():
        write(root / file, "\n".join(json.dumps(vary(record, number)) for number in range(RECORDS)))
    shutil.copytree(Path(__file__).parents[1] / "unit" / "fixtures" / "function_calling", root / "tucan")
    (root / "tucan" / "tucan.jsonl").rename(root / "tucan" / "train.jsonl")
    write(root / "chat_bg.jsonl", "\n".join(json.dumps(vary(CHAT, number)) for number in range(RECORDS)))
    for path in ("spider/database", "bird/train/train_databases", "bird/dev/dev_databases"):
        database = root / path / "clubs" / "clubs.sqlite"
        database.parent.mkdir(parents=True)
        with sqlite3.connect(database) as connection:
            connection.executescript("CREATE TABLE club (id INT, name TEXT); INSERT INTO club VALUES (1, 'Go');")
    patch = pytest.MonkeyPatch()
    patch.setenv("QUINCE_DATA", str(root))
    yield
    patch.undo()


RECORDS = 24
PUBLIC_RECORDS = {
    "gsm8k/train": {"question": "1 + #?", "answer": "so\n#### 2"},
    "gsm8k/test": {"question": "1 + #?", "answer": "so\n#### 2"},
    "multirc/train": {"paragraph": "1 + #?", "question": "1 + #?", "answer": "2", "label": 1},
    "squad/train": {"context": "1 + #?", "question": "1 + #?", "answers": {"text": ["2"]}},
    "boolq/train": {"passage": "1 + #?", "question": "1 + #", "answer": True},
    "csqa/train": {"answerKey": "A", "question": "1 + #?", "choices": {"label": ["A"], "text": ["2"]}},
    "math/train": {"problem": "1 + #?", "solution": r"\boxed{2}", "type": "Algebra"},
    "math500/test": {"problem": "1 + #?", "answer": "2", "level": 1},
    "math_eval/aime24": {"problem": "1 + #?", "answer": "002"},
    "math_eval/amc23": {"problem": "1 + #?", "question": "1 + #?", "answer": 2.0},
    "math_eval/olympiadbench": {"question": "1 + #?", "final_answer": ["2"], "unit": None},
    "math_eval/minerva_math": {"problem": "1 + #?", "solution": r"\boxed{2}"},
    "math_eval/college_math": {"question": "1 + #?", "answer": "2"},
    "math_eval/svamp": {"Body": "1 + #", "Question": "1 + #?", "Answer": 2.0},
}
SQL_QUESTIONS = [
    {
        "db_id": "clubs",
        "question": f"How many clubs with id {number}?",
        "evidence": "",
        "query": f"SELECT count(*) FROM club WHERE id = {number}",
        "SQL": f"SELECT count(*) FROM club WHERE id = {number}",
    }
    for number in range(RECORDS)
]


def tool_records() -> dict[str, dict]:
    """A record of every file that the function-calling sets read."""
    document = {"name": "add", "description": "Add", "parameters": {"type": "dict", "properties": {}, "required": []}}
    asked = {"question": [[{"role": "user", "content": "1 + 1?"}]], "function": [document]}
    answer = {"ground_truth": [{"add": {}}]}
    records = {}
    for category in (*GROUPS["single_turn"], "live_relevance"):
        records[f"bfcl_v4/BFCL_v4_{category}.json"] = asked | {"id": f"{category}_#?"}
        records[f"bfcl_v4/possible_answer/BFCL_v4_{category}.json"] = answer | {"id": f"{category}_#?"}
    refused = {"question": "1 + #?", "tools": [json.dumps(document)], "correct_answer": "cannot_answer"}
    return records | {"when2call/when2call_test_llm_judge.jsonl": refused}


CHAT = {"id": "#?", "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hi"}]}


def vary(record: dict, number: int) -> dict:
    """The record with a question of its own."""
    return {key: text.replace("#?", f"{number}?") if isinstance(text, str) else text for key, text in record.items()}


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def architectures(toy_model, tmp_path_factory) -> dict[str, Path]:
    """A random model for each architecture of the library, by the name of the model it stands for."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    folders = {}
    for name in set(ARCHITECTURES.values()):
        folders[name] = tmp_path_factory.mktemp("models") / name
        shutil.copytree(toy_model, folders[name])
        tokenizer = AutoTokenizer.from_pretrained(toy_model)
        tokenizer.add_tokens(TURN_TOKENS.get(name, []), special_tokens=True)
        tokenizer.save_pretrained(folders[name])
        config = AutoConfig.for_model(
            name,
            vocab_size=-(-len(tokenizer) // 64) * 64,
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=8,
            max_position_embeddings=8192,
        )
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config)
        model.save_pretrained(folders[name])
        shutil.copy(toy_model / "generation_config.json", folders[name])
    return {model: folders[name] for model, name in ARCHITECTURES.items()}


def quince(*arguments: str) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert not ended.value.code


def starts_tiny(recipe: Any) -> bool:
    """Whether a recipe starts from the shipped model, or from one that an earlier run made of it."""
    return recipe.model.id == "tiny" or recipe.model.id.startswith("runs/")


def start(recipe: Any) -> list[str]:
    """The shipped model in place of an earlier run's."""
    return ["model.id=tiny"] if starts_tiny(recipe) else []


def pretraining(recipe: PretrainRecipe) -> list[str]:
    """What makes a `pretrain` recipe small."""
    return [*(f"mixture.{index}.size=40" for index in range(len(recipe.mixture))), *PRETRAINING]


def frozen(recipe: RlvrRecipe, architectures: dict[str, Path]) -> list[str]:
    """Stand-ins for the readers and the encoder of a recipe, in this process."""
    models = {f"readers.{index}.model": reader.model for index, reader in enumerate(recipe.readers)}
    models |= {"encoder": recipe.encoder} if recipe.encoder else {}
    engines = [f"readers.{index}.engine={{kind: transformers}}" for index in range(len(recipe.readers))]
    return [*(f"{field}.id={architectures.get(model.id, 'tiny')}" for field, model in models.items()), *engines]


def small(recipe: RlvrRecipe, architectures: dict[str, Path]) -> list[str]:
    """What makes an `rlvr` recipe small and, for a large model, puts a random one in its place."""
    old = [f"rehearsal.data.{index}.size=12" for index in range(len(recipe.rehearsal.data))]
    old += frozen(recipe, architectures)
    if starts_tiny(recipe):
        spider = ["data.0.size=2", "data.1.size=6"] if len(recipe.data) == 2 else ["data.0.size=16"]
        split = ["split.rollouts=4", "split.threshold=1"] if recipe.split else []
        rehearsal = ["rehearsal.batch_size=8"] if recipe.split else []
        return [*SHORT, *spider, *split, *rehearsal, *old, "trainer.max_completion_length=24"]
    split = [LUCK, "split={rollouts: 4, threshold: 2, engine: {kind: transformers}}"] if recipe.split else []
    sizes = [f"data.{index}.size=24" for index, source in enumerate(recipe.data) if source.size]
    # A random reader is helped by no passage, which would leave every capsule unjudged.
    sizes += [f"rewards.{i}.utility=none" for i, reward in enumerate(recipe.rewards) if reward.kind == "capsule"]
    return [*SHORT, *ONE_CPU, *split, *sizes, *old, f"model.id={architectures[recipe.model.id]}"]


def two_steps(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    assert [line["step"] for line in steps] == [1, 2]
    assert all(math.isfinite(line["loss"]) and math.isfinite(line["grad_norm"]) for line in steps)
    return steps


def small_tuning(recipe: SftRecipe | DpoRecipe, architectures: dict[str, Path]) -> list[str]:
    """What makes an `sft` or `dpo` recipe small, for one CPU."""
    sizes = [f"data.{index}.size=12" for index, source in enumerate(recipe.data) if source.size]
    sizes += [f"first.{index}.size=4" for index in range(len(getattr(recipe, "first", ())))]
    stand_in = [] if starts_tiny(recipe) else [f"model.id={architectures[recipe.model.id]}"]
    if recipe.model.adapter.kind != "none":
        stand_in.append("model.adapter={kind: lora, rank: 2}")
    if "optim" in recipe.trainer:
        stand_in.append("trainer.optim=adamw_torch")
    if recipe.trainer["max_length"] > LONGEST:
        stand_in.append(f"trainer.max_length={LONGEST}")
    batch = ["trainer.per_device_train_batch_size=1", "trainer.gradient_accumulation_steps=1", "trainer.bf16=false"]
    steps = ["trainer.max_steps=2", "trainer.save_steps=1", "trainer.save_strategy=steps", "trainer.logging_steps=1"]
    return [*steps, *batch, *sizes, *stand_in, "launch={processes: 1}", "trainer.disable_tqdm=true"]


def check_model(folder: Path, adapter: bool) -> None:
    config, weights = ("adapter_config.json", "adapter_model") if adapter else ("config.json", "model")
    assert (folder / "model" / config).is_file()
    assert (folder / "model" / f"{weights}.safetensors").is_file()
    assert (folder / "model" / "tokenizer.json").is_file()
    assert (folder / "model" / "README.md").is_file()


@pytest.mark.parametrize("name", RLVR)
def test_an_rlvr_recipe_trains(name, architectures, tmp_path):
    folder = tmp_path / "run"
    quince("train", name, f"output_dir={folder}", *start(RLVR[name]), *small(RLVR[name], architectures))
    steps = two_steps(folder)
    divergence = RLVR[name].divergence
    where = getattr(divergence, "on", None)
    assert all(where is None or math.isfinite(line[f"divergence/{where}"]) for line in steps)
    assert (folder / "checkpoint-2" / "optimizer.pt").is_file()
    check_model(folder, adapter=RLVR[name].model.adapter.kind != "none")


@pytest.mark.parametrize("name", TUNING)
def test_a_tuning_recipe_trains(name, architectures, tmp_path):
    folder = tmp_path / "run"
    quince("train", name, f"output_dir={folder}", *start(TUNING[name]), *small_tuning(TUNING[name], architectures))
    two_steps(folder)
    assert (folder / "checkpoint-2" / "optimizer.pt").is_file()
    check_model(folder, adapter=TUNING[name].model.adapter.kind != "none")


@pytest.mark.parametrize("name", PRETRAIN)
def test_a_pretrain_recipe_trains(name, tmp_path):
    quince("train", name, f"output_dir={tmp_path}", *pretraining(PRETRAIN[name]))
    two_steps(tmp_path)
    check_model(tmp_path, adapter=False)


@pytest.mark.parametrize("name", EVAL)
def test_an_eval_recipe_writes_records_and_a_board(name, architectures, tmp_path):
    suites = EVAL[name].suites
    short = [f"suites.{index}.sampling.max_tokens=8" for index in range(len(suites))]
    model = EVAL[name].model.id
    stand_in = [f"model.id={'tiny' if model == 'tiny' or model.startswith('runs/') else architectures[model]}"]
    names = [suite.name for suite in suites]
    if EVAL[name].retention is not None:  # in place of tasks whose documents are on the Hub, the shipped ones
        names = ["tiny_strategies", "tiny_words_bg"]
        tasks = ", ".join(f"{{name: {task}}}" for task in names)
        short += [f"retention.tasks=[{tasks}]", "retention.task_folders=[_lm_eval]"]
    quince("eval", name, f"output_dir={tmp_path}", "engine={kind: transformers}", "limit=2", *short, *stand_in)
    for folder in names:
        assert json.loads((tmp_path / folder / "record.json").read_text())
        assert len((tmp_path / folder / "samples.jsonl").read_text().splitlines()) >= 2
    assert (tmp_path / "board" / "index.html").is_file()


@pytest.mark.parametrize("name", COMPRESSION_EVAL)
def test_an_evaluation_of_capsules_writes_a_record_a_page_and_a_board(name, architectures, tmp_path):
    recipe = COMPRESSION_EVAL[name]
    models = {"model": recipe.model, "baselines.base": recipe.baselines.base}
    models |= {f"readers.{index}.model": reader.model for index, reader in enumerate(recipe.readers)}
    models["encoder"] = recipe.encoder
    stand_ins = [f"{field}.id={architectures.get(model.id, 'tiny')}" for field, model in models.items() if model]
    engines = [f"readers.{index}.engine={{kind: transformers}}" for index in range(len(recipe.readers))]
    if recipe.model.id in architectures:
        engines.append("data=[{kind: passages, split: test}]")
    quince("eval", name, f"output_dir={tmp_path}", *SHORT_CAPSULES, *stand_ins, *engines)
    assert json.loads((tmp_path / recipe.suite / "record.json").read_text())
    assert len((tmp_path / recipe.suite / "samples.jsonl").read_text().splitlines()) == 4
    assert (tmp_path / "compression.md").is_file()
    assert (tmp_path / "board" / "index.html").is_file()


@pytest.fixture
def stages_in_this_process(monkeypatch):
    """A stage's command without a Python of its own, which takes longer to start than to train."""

    def command(arguments: list[str], check: bool) -> SimpleNamespace:
        with pytest.raises(SystemExit) as ended:
            main(arguments[arguments.index("quince.recipes.cli") + 1 :])
        return SimpleNamespace(returncode=ended.value.code)

    monkeypatch.setattr(pipeline, "subprocess", SimpleNamespace(run=command))


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_runs_its_stages(name, architectures, request, tmp_path):
    if name != "compression/tiny":  # whose stages are programs, as they are for users
        request.getfixturevalue("stages_in_this_process")
    overrides = []
    for stage, recipe in PIPELINES[name].stages.items():
        if recipe.kind == "eval":
            own = ["limit=2", *(f"suites.{i}.sampling={{n: 1, max_tokens: 4}}" for i in range(len(recipe.suites)))]
            own += [f"suites.{i}.ks=[1]" for i in range(len(recipe.suites))]
        elif recipe.kind == "compression_eval":
            own = SHORT_CAPSULES
        elif recipe.kind == "pretrain":
            own = pretraining(recipe)
        else:
            own = (small if recipe.kind == "rlvr" else small_tuning)(recipe, architectures)
            own += [] if recipe.model.id.startswith(PIPELINES[name].output_dir) else start(recipe)
        overrides += [f"stages.{stage}.{override}" for override in own]
    quince("train", name, f"output_dir={tmp_path}", *overrides)
    for stage, recipe in PIPELINES[name].stages.items():
        if recipe.kind in ("eval", "compression_eval"):
            assert (tmp_path / stage / "board" / "index.html").is_file()
        else:
            two_steps(tmp_path / stage)


def test_the_command_trains_as_a_program(tmp_path):
    sizes = [*small(RLVR["rlvr/tiny_dph_js"], {}), f"output_dir={tmp_path / 'run'}"]
    command = [sys.executable, "-m", "quince.recipes.cli", "train", "rlvr/tiny_dph_js", *sizes]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-3000:]
    two_steps(tmp_path / "run")
    check_model(tmp_path / "run", adapter=False)
