"""Do verdicts on function-calling rows hold for a model that was trained on them, and do planned rows beat random ones?

    for seed in 0 1 2; do python scripts/bench/probe/training.py run --seed $seed; done   # 20 minutes each
    python scripts/bench/probe/training.py report                                         # the page

The tiny base learns to copy, then the training rows of a split that `quince probe split` made. Its answers to the held
out requests are what verdicts are compared with. Then training goes on, once with the rows that `quince probe plan`
takes from the rest and once with as many random rows of it, each written several times among the training rows.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from quince.scripts.bench.pages import Page, Results, bench, quince, stamp_of
from quince.scripts.bench.probe.training_figures import figures
from quince.scripts.bench.probe.training_page import render

RUNS = Path("runs/bench/probe_training")
POOL = "demonstrations/function_calls:size=20000,max_tools=2"
SPLIT_SEED = 3  # Chosen by the split alone: of six, the one with most different inputs in its smallest status
TEST_SIZE = 150  # Requests of each status
REPAIRED = ("weak", "uncovered", "new-primitive")  # Statuses of the requests that rows are planned for
REPEATS = 8  # How often an added row is written among the training rows
REHEARSED = 4  # One training row in so many is among the added ones
EPOCHS = 2.5
COPYING = 4000  # Conversations of strings to repeat, before any call: names and values are copied
ARMS = ("rows", "random")


def sft(data: list[dict[str, Any]], model: str, epochs: float, decay: int, rate: float) -> dict[str, Any]:
    """A recipe with the optimizer of `function_calling/tiny_bg`, in one process."""
    decay_to = {"num_decay_steps": decay, "min_lr_ratio": 0.02}
    trainer = {"num_train_epochs": epochs, "lr_scheduler_kwargs": decay_to, "save_strategy": "no"}
    base = {"extends": "function_calling/tiny_bg.yaml", "model": {"id": model}, "first": [], "data": data}
    return base | {"launch": {"processes": 1}, "optimizer": {"learning_rate": rate}, "trainer": trainer}


def train(recipe: dict[str, Any], folder: Path, seed: int) -> str:
    file = write_yaml(folder.with_suffix(".yaml"), recipe)
    quince("train", file, f"seed={seed}", f"output_dir={folder}")
    return str(folder / "model")


def evaluate(model: str, folder: Path) -> None:
    judge = {"reward": {"kind": "function_call"}, "sampling": {"n": 1, "temperature": 0.0, "max_tokens": 160}}
    data = {file.stem.removeprefix("test_"): [{"kind": "jsonl", "path": str(file)}] for file in tests()}
    suites = [{"name": name, "data": rows} | judge for name, rows in data.items()]
    recipe = {"extends": "_base/eval.yaml", "model": {"id": model, "dtype": "float32"}, "suites": suites}
    quince("eval", write_yaml(folder.with_suffix(".yaml"), recipe), f"output_dir={folder}")


def tests() -> list[Path]:
    return sorted((RUNS / "split").glob("test_*.jsonl"))


def write_yaml(file: Path, recipe: dict[str, Any]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(recipe, sort_keys=False), encoding="utf-8")
    return file


def prepare() -> None:
    split, plan = RUNS / "split", RUNS / "plan"
    if not (split / "split.json").is_file():
        where = ["--schema", "function_calls", "--seed", SPLIT_SEED, "--test-size", TEST_SIZE, "--out", split]
        quince("probe", "split", POOL, *where)
    if not (plan / "rows.jsonl").is_file():
        wanted = RUNS / "wanted.jsonl"
        texts = [(split / f"test_{status}.jsonl").read_text(encoding="utf-8") for status in REPAIRED]
        wanted.write_text("".join(texts), encoding="utf-8")
        options = ["--schema", "function_calls", "--test", wanted, "--pool", split / "rest.jsonl", "--rows", 200]
        quince("probe", "plan", split / "train.jsonl", *options, "--out", plan)
    learned = (split / "train.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[::REHEARSED]
    for arm in ARMS:
        lines = (plan / f"{arm}.jsonl").read_text(encoding="utf-8").splitlines()
        copies = [json.loads(line) | {"copy": copy} for line in lines for copy in range(REPEATS)]
        rows = [row | {"id": f"{row['id']}/{row.pop('copy')}"} for row in copies]
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        (plan / f"{arm}_repeated.jsonl").write_text(text + "".join(learned), encoding="utf-8")


def run(seed: int = 0) -> None:
    prepare()
    split, plan, folder = RUNS / "split", RUNS / "plan", RUNS / f"seed_{seed}"
    rows = {"kind": "jsonl", "path": str(split / "train.jsonl")}
    copies = train(sft([{"kind": "copying", "size": COPYING}], "tiny", 1, 1, 0.05), RUNS / "copying", 0)
    model = train(sft([rows], copies, EPOCHS, 800, 0.05), folder / "calls", seed)
    evaluate(model, folder / "calls_eval")
    options = [option for file in tests() for option in ("--test", file)]
    where = ["--schema", "function_calls", *options, "--out", folder / "calibration"]
    quince("probe", "calibrate", split / "train.jsonl", folder / "calls_eval", *where)
    for arm in ARMS:
        added = {"kind": "jsonl", "path": str(plan / f"{arm}_repeated.jsonl")}
        longer = train(sft([added], model, 1, 150, 0.03), folder / arm, seed)
        evaluate(longer, folder / f"{arm}_eval")


def report() -> Results:
    seeds = sorted(folder for folder in RUNS.glob("seed_*") if (folder / f"{ARMS[-1]}_eval").is_dir())
    stamps = [stamp_of(file.parent) for seed in seeds for file in sorted(seed.rglob("record.json"))]
    found = {"epochs": EPOCHS, "repeats": REPEATS, "pool": POOL, "stamps": stamps}
    return found | figures(RUNS, seeds, tests(), ARMS)


PAGE = Page("probe_training", "Do verdicts on function-calling rows hold for a trained model?", render)

if __name__ == "__main__":
    bench(PAGE, run=run, report=report)
