"""One seed of the tiny compression demonstration, from reader to evaluation, with its controls.

    for seed in 0 1 2; do python scripts/bench/compression_runs.py --seed $seed; done     # 50 CPU minutes each
    python scripts/bench/compression.py runs/capsules

Every seed has its own reader, warm start and start of the grounding controls. What is there already is not made again,
so that a seed can be stopped, or made in parts by several calls with `--only`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TRAINED = {
    "reader": None,
    "sft": None,
    "grpo": "sft",
    "semantics": "sft",
    "no_gate": "sft",
    "paper": "sft",
    "early": None,
    "grounding": "early",
    "no_grounding": "early",
}
"""Runs in their order, with the one whose model they start from."""
RECIPES = {"early": "sft_early"}
TIMED = ("grpo",)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train and evaluate what is missing of a seed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--only", nargs="+", default=list(TRAINED), choices=list(TRAINED))
    parser.add_argument("--runs", type=Path, default=Path("runs/compression"))
    parser.add_argument("--capsules", type=Path, default=Path("runs/capsules"))
    given = parser.parse_args(arguments)
    folder = given.runs / f"seed_{given.seed}"
    for name in given.only:
        if not (folder / name / "model" / "model.safetensors").exists():
            quince("train", f"compression/tiny_{RECIPES.get(name, name)}", *training(name, folder, given.seed))
        record = given.capsules / f"{name}_{given.seed}"
        if name != "reader" and not (record / "compression" / "record.json").exists():
            quince("eval", "compression_tiny", *evaluation(name, folder, record))


def training(name: str, folder: Path, seed: int) -> list[str]:
    """Overrides of a run's recipe: its seed, and the models of this seed."""
    overrides = [f"seed={seed}", f"output_dir={folder / name}"]
    if (start := TRAINED[name]) is not None:
        overrides += [f"model.id={folder / start / 'model'}", f"readers.0.model.id={folder / 'reader' / 'model'}"]
    if name == "semantics":
        overrides.append(f"encoder.id={folder / 'sft' / 'model'}")
    return overrides


def evaluation(name: str, folder: Path, record: Path) -> list[str]:
    """Overrides of the evaluation: the models of this seed; only the demonstration itself is timed."""
    start = folder / "sft" / "model"
    models = {"readers.0.model.id": folder / "reader" / "model", "readers.1.model.id": start}
    models |= {"encoder.id": start, "baselines.base.id": start, "model.id": folder / name / "model"}
    overrides = [f"{field}={path}" for field, path in models.items()] + [f"output_dir={record}"]
    return overrides if name in TIMED else [*overrides, "latency=null"]


def quince(*arguments: str) -> None:
    """Run the command.

    Raises:
        CalledProcessError: It failed; what it said is above.
    """
    subprocess.run([sys.executable, "-m", "quince.recipes.cli", *arguments], check=True)


if __name__ == "__main__":
    main()
