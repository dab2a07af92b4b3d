"""What small models compose, over seeds: accuracy by coverage, states, interchange, and two switches of training.

    python scripts/bench/coverage.py run                 # every study; finished runs are passed
    python scripts/bench/coverage.py run --study two_hop --seed 0
    python scripts/bench/coverage.py report              # docs/results/coverage.{json,md,png}

Runs are the library's recipes, one process, one size after the other. The engine's own figures are made elsewhere.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

RESULTS = Path(__file__).parents[2] / "docs" / "results"
SEEDS = (0, 1, 2)
STUDIES = {
    "two_hop": "coverage/tiny",
    "modular_addition": "coverage/modular_addition",
    "modular_addition_perpendicular": "coverage/modular_addition_perpendicular",
    "modular_addition_stablemax": "coverage/modular_addition_stablemax",
    "modular_addition_decay": "coverage/modular_addition_decay",
    "cot": "coverage/tiny_cot",
    "non_tree": "coverage/tiny_non_tree",
    "two_hop_perpendicular": "coverage/tiny_perpendicular",
    "symmetric": "coverage/tiny_symmetric",
    "ignored": "coverage/tiny_ignored",
    "same": "coverage/tiny_same",
}
"""In the order in which they are run: what the others are compared with first."""


def run(folder: Path, studies: list[str], seeds: list[int], sizes: list[int] | None) -> None:
    """Train every size of the studies that is not finished in the folder."""
    import torch
    from quince.recipes.config import load_recipe
    from quince.recipes.coverage.train_probe import RESULT, train_probe

    torch.set_num_threads(1)
    for study in studies:
        for seed in seeds:
            for rows in reversed(load_recipe(STUDIES[study]).recipe.data.rows):
                out = folder / study / f"seed_{seed}" / f"rows_{rows}"
                if (out / RESULT).is_file() or (sizes and rows not in sizes):
                    continue
                overrides = [f"seed={seed}", f"data.rows=[{rows}]", f"output_dir={out}", "trainer.disable_tqdm=true"]
                train_probe(load_recipe(STUDIES[study], overrides))
                print(f"{study}, seed {seed}, {rows} rows: done", flush=True)


def collect(folder: Path) -> Iterator[dict[str, Any]]:
    """The results in a folder, with study and curve of the accuracy; heat maps only where they are reported."""
    for file in sorted(folder.glob("*/seed_*/rows_*/result.json")):
        result = json.loads(file.read_text(encoding="utf-8"))
        lines = map(json.loads, (file.parent / "metrics.jsonl").read_text(encoding="utf-8").splitlines())
        name = "accuracy/type_0" if "type_0" in result["right"] else "accuracy/type_1"
        result["curve"] = [[line["step"], round(line[name], 4)] for line in lines if name in line]
        result["study"] = file.parts[-4]
        yield result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "report"))
    parser.add_argument("--runs", type=Path, default=Path("runs/bench/coverage"), help="Folder of the runs.")
    parser.add_argument("--study", action="append", choices=STUDIES, help="Only these.")
    parser.add_argument("--seed", action="append", type=int, help="Only these.")
    parser.add_argument("--rows", action="append", type=int, help="Only these sizes.")
    arguments = parser.parse_args()
    if arguments.verb == "run":
        run(arguments.runs, arguments.study or list(STUDIES), arguments.seed or list(SEEDS), arguments.rows)
        return
    from coverage_claims import with_earlier
    from coverage_page import write_page

    results = with_earlier(list(collect(arguments.runs)), RESULTS / "coverage.json")
    (RESULTS / "coverage.json").write_text(json.dumps(results) + "\n", encoding="utf-8")
    write_page(results, RESULTS)


if __name__ == "__main__":
    main()
