"""The same loss however a step is cut: 1, 2 and 4 gloo processes, accumulation, checkpointing; docs/results/parity.md.

Every run is a forked child of one process that has imported the libraries, so that a run costs its steps alone. What is
compared is each logged loss and gradient norm of a run with those of one process that takes the whole batch at once,
and the sampled answers, since a loss on other answers is another loss.

    python scripts/bench/parity.py
    python scripts/bench/parity.py --steps 3 --ways "2 processes" --families DPO --out somewhere
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

DATE, HARDWARE = "2026-11-30", "two Xeon cores shared with other work, torch 2.13 CPU"
GOAL = 1e-5
BATCH = 16
COMPARED = ("loss", "grad_norm", "reward")
SEEDED = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TRL_EXPERIMENTAL_SILENCE": "1", "TOKENIZERS_PARALLELISM": "0"}

TRAINER = """
trainer:
  max_steps: STEPS
  learning_rate: 1e-4
  lr_scheduler_type: constant
  logging_steps: 1
  save_strategy: "no"
  gradient_checkpointing: false
  disable_tqdm: true
"""
RLVR = (
    """
kind: rlvr
model: {id: tiny, dtype: float32}
data: [{kind: strategies, size: 12}]
rewards: [{kind: exact_match}]
split: {train_on: all, rollouts: 4, threshold: 2}
rehearsal: {batch_size: 16}
"""
    + TRAINER
    + "  num_generations: 4\n  max_completion_length: 16\n  loss_type: dapo\n"
)
CAPSULATOR = (
    """
kind: rlvr
model: {id: tiny, dtype: float32}
readers: [{name: a, model: {id: tiny, dtype: float32}, max_tokens: 4}]
data: [{kind: passages, size: 12}]
rewards: [{kind: capsule, gate: cut, utility: agreement}]
objective: {kind: capsulator}
"""
    + TRAINER
    + "  num_generations: 4\n  max_completion_length: 8\n  temperature: 0.2\n"
)
SFT = (
    """
kind: sft
model: {id: tiny, dtype: float32}
data: [{kind: strategies, size: 240}, {kind: everyday, size: 100}]
"""
    + TRAINER
    + "  max_length: 256\n  train_sampling_strategy: sequential\n"
)
DPO = (
    """
kind: dpo
model: {id: tiny, dtype: float32}
data: [{kind: jsonl, path: PAIRS}]
"""
    + TRAINER
    + "  max_length: 128\n  train_sampling_strategy: sequential\n"
)
PRETRAIN = """
kind: pretrain
architecture: {hidden_size: 32, layers: 2, heads: 2, kv_heads: 1, head_dim: 16, intermediate_size: 64}
tokenizer: {vocab_size: 640, rows_per_source: 100}
mixture: [{kind: strategies, size: 330}, {kind: everyday, size: 40}]
""" + TRAINER.replace("  gradient_checkpointing: false\n", "")
COVERAGE = """
kind: coverage
data: {family: two_hop, values: 8, rows: [40]}
architecture: {width: 32, layers: 2, heads: 2}
evaluate_every: 1000
""" + TRAINER.replace("  gradient_checkpointing: false\n", "")

FAMILIES: dict[str, tuple[str, list[str]]] = {
    "GRPO": (RLVR, []),
    "DPH-JS": (RLVR, ["divergence={kind: jensen_shannon, weight: 0.5}"]),
    "Capsulator": (CAPSULATOR, []),
    "SFT, padded": (SFT, ["trainer.packing=false"]),
    "SFT, packed": (SFT, ["trainer.packing=true", "trainer.max_length=64", "data.0.size=1000"]),
    "DPO": (DPO, []),
    "pretraining": (PRETRAIN, []),
    "coverage": (COVERAGE, []),
}
WAYS: dict[str, tuple[int, int, bool]] = {
    "2 processes": (2, 1, False),
    "4 processes": (4, 1, False),
    "2 accumulated": (1, 2, False),
    "checkpointing": (1, 1, True),
}
"""Processes, micro-batches of a step, and whether layers are computed again."""
ONCE = (1, 1, False)
NOT_CUT = {(family, "checkpointing") for family in ("pretraining", "coverage")}
"""Their recipes have no such switch; the models are small."""

NOTES = """
"Other answers" counts the sampled answers of all steps that are not those of the whole step. A draw by inverse
cumulative probability has a boundary at every token of the vocabulary; rounding may carry it across one, and the loss
is then that of another answer. So Capsulator samples at temperature 0.2: about passages the tiny model is undecided,
4 nats a token at temperature 1, where one of the first 768 draws was within 4e-8 of a boundary and fell otherwise, in
each cut alike. At 0.2 the closest of these is 2e-4 away. A flip is rare then, not impossible; that column would show
it. Pretraining's Muon is `recipes/parts/muon.py`, which orthogonalises in float32 as the gradients are.
""".splitlines()


Run = tuple[list[dict[str, float]], Counter[str]]
"""The log of each step; how often each answer was sampled, with its step and prompt."""


@dataclass(frozen=True)
class Compared:
    """The largest differences of a cut from the whole over all steps, for each logged quantity; answers that differ."""

    family: str
    way: str
    steps: int
    differences: dict[str, float]
    other_answers: int | None = None


def recipe_file(folder: Path, family: str, steps: int) -> Path:
    """Write a family's recipe."""
    pairs = folder / "pairs.jsonl"
    if not pairs.exists():
        pairs.write_text("\n".join(json.dumps(pair(number)) for number in range(400)), encoding="utf-8")
    file = folder / f"{family.replace(', ', '_')}.yaml"
    file.write_text(FAMILIES[family][0].replace("PAIRS", str(pairs)).replace("STEPS", str(steps)), encoding="utf-8")
    return file


def pair(number: int) -> dict[str, object]:
    """A preference."""
    answers = {"chosen": f"number {number}", "rejected": f"no {number} {'at all ' * (number % 3)}"}
    made = {name: [{"role": "assistant", "content": text}] for name, text in answers.items()}
    return {"id": str(number), "task": "t", "prompt": [{"role": "user", "content": f"{number}?"}], **made}


def run_way(file: Path, family: str, way: tuple[int, int, bool], folder: Path) -> Run:
    """Train in forked processes."""
    processes, accumulation, checkpointing = way
    batch = BATCH // (processes * accumulation)
    overrides = [f"output_dir={folder / 'run'}", f"trainer.per_device_train_batch_size={batch}", *FAMILIES[family][1]]
    if accumulation > 1:
        overrides.append(f"trainer.gradient_accumulation_steps={accumulation}")
    if checkpointing:
        overrides.append("trainer.gradient_checkpointing=true")
    port = free_port()
    children = [fork(file, overrides, rank, processes, port, folder) for rank in range(processes)]
    codes = [os.waitpid(child, 0)[1] for child in children]
    if any(codes):
        print((folder / "error.txt").read_text(encoding="utf-8"), file=sys.stderr)
        return [], Counter()
    log = [line for line in read_lines(folder / "run" / "metrics.jsonl") if "loss" in line]
    samples = read_lines(folder / "run" / "samples.jsonl")
    return log, Counter(json.dumps([line[key] for key in ("step", "prompt", "completion")]) for line in samples)


def read_lines(file: Path) -> list[dict]:
    """The objects of a file of a run; none if there is no such file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()] if file.exists() else []


def fork(file: Path, overrides: Sequence[str], rank: int, processes: int, port: int, folder: Path) -> int:
    """Start one process of a run; its id."""
    if child := os.fork():
        return child
    code = 1
    try:
        quiet = os.open(os.devnull, os.O_WRONLY)
        os.dup2(quiet, 1)
        os.dup2(quiet, 2)
        if processes > 1:
            names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": processes, "MASTER_PORT": port}
            os.environ.update({name: str(value) for name, value in names.items()} | {"MASTER_ADDR": "127.0.0.1"})
        train(file, overrides)
        code = 0
    except BaseException:
        with suppress(FileExistsError), (folder / "error.txt").open("x") as file_of_the_first:
            file_of_the_first.write(traceback.format_exc())
    finally:
        os._exit(code)


def train(file: Path, overrides: Sequence[str]) -> None:
    """As `quince train` does; a coverage run is one process by nature, so only its trainer runs."""
    from importlib import import_module

    from quince.recipes.config import load_recipe
    from quince.recipes.rlvr import samples

    samples.PER_STEP = BATCH
    loaded = load_recipe(str(file), overrides)
    if loaded.recipe.kind != "coverage":
        import_module(f"quince.recipes.{loaded.recipe.kind}.train").run(loaded)
        return
    from quince.recipes.coverage.train_probe import build_trainer

    Path(loaded.recipe.output_dir).mkdir(parents=True, exist_ok=True)
    build_trainer(loaded).train()


def free_port() -> int:
    """A port for the processes of a run to meet at."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def compare(families: Sequence[str], ways: Sequence[str], steps: int, folder: Path) -> list[Compared]:
    """Every family in every way, against the whole step."""
    import quince.recipes.dpo.trainer
    import quince.recipes.rlvr.trainer
    import quince.recipes.sft.trainer  # noqa: F401  - imported once for all children

    found = []
    for family in families:
        file = recipe_file(folder, family, steps)
        place = folder / file.stem / "whole"
        place.mkdir(parents=True)
        whole = run_way(file, family, ONCE, place)
        for way in (way for way in ways if (family, way) not in NOT_CUT):
            place = folder / file.stem / way.replace(" ", "_")
            place.mkdir()
            if (split := folder / file.stem / "whole" / "splits").is_dir():
                shutil.copytree(split, place / "splits")  # several processes do not make it
            found.append(difference(family, way, whole, run_way(file, family, WAYS[way], place)))
            print(found[-1], file=sys.stderr, flush=True)
    return found


def difference(family: str, way: str, whole: Run, cut: Run) -> Compared:
    """The largest differences of two logs; none if a run failed or ended early."""
    (log, answers), (other_log, other_answers) = whole, cut
    if not log or len(log) != len(other_log):
        return Compared(family, way, min(len(log), len(other_log)), {})
    names = [name for name in COMPARED if name in log[0]]
    largest = {name: max(abs(a[name] - b[name]) for a, b in zip(log, other_log, strict=True)) for name in names}
    return Compared(family, way, len(log), largest, (answers - other_answers).total() if answers else None)


def page(found: Sequence[Compared], steps: int) -> str:
    """The table."""
    within = sum(entry.differences.get("loss", 1.0) <= GOAL for entry in found)
    lines = [
        "# The same loss however a step is cut",
        "",
        f"{DATE}, {HARDWARE}, float32, gloo; `python scripts/bench/parity.py`; {steps} steps, seed 0.",
        "",
        f"Loss within {GOAL:g} at every step: **{within} of {len(found)}**. Largest absolute difference from one",
        f"process that takes the whole batch of {BATCH} rows at once:",
        "",
        "| family | cut into | loss | gradient norm | reward | other answers |",
        "|---|---|---|---|---|---|",
    ]
    for entry in found:
        found_here = entry.differences
        cells = [f"{found_here[name]:.1e}" if name in found_here else "" for name in COMPARED]
        cells = cells if found_here else ["did not run", "", ""]
        cells.append("" if entry.other_answers is None else str(entry.other_answers))
        lines.append(f"| {entry.family} | {entry.way} | {' | '.join(cells)} |")
    return "\n".join([*lines, *NOTES]) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[2] / "docs" / "results")
    arguments = parser.parse_args()
    os.environ.update(SEEDED)
    with tempfile.TemporaryDirectory() as folder:
        found = compare(arguments.families, arguments.ways, arguments.steps, Path(folder))
    arguments.out.mkdir(parents=True, exist_ok=True)
    file = arguments.out / "parity.json"
    found = [*kept(file, arguments.steps, found), *found]
    found.sort(key=lambda entry: (list(FAMILIES).index(entry.family), list(WAYS).index(entry.way)))
    record = {"date": DATE, "hardware": HARDWARE, "steps": arguments.steps, "found": [asdict(entry) for entry in found]}
    file.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    (arguments.out / "parity.md").write_text(page(found, arguments.steps), encoding="utf-8")


def kept(file: Path, steps: int, found: Sequence[Compared]) -> list[Compared]:
    """What earlier calls found for other families and ways, so that the table can be made in parts."""
    earlier = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"steps": steps, "found": []}
    again = {(entry.family, entry.way) for entry in found}
    known = [entry for entry in earlier["found"] if earlier["steps"] == steps and entry["family"] in FAMILIES]
    entries = [Compared(**entry) for entry in known]
    return [entry for entry in entries if (entry.family, entry.way) not in again]


if __name__ == "__main__":
    main()
