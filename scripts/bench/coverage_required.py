"""How many rows trained models need for each |X|, with the power law beside the paper's exponents.

    python scripts/bench/coverage_required.py run                 # every point; finished models are passed
    python scripts/bench/coverage_required.py run --study two_hop --values 16 --seed 0
    python scripts/bench/coverage_required.py halve               # one size more within wide brackets
    python scripts/bench/coverage_required.py report              # docs/results/coverage_required.json and the page

Models are the recipe `coverage/tiny` with other values and rows. N is required when type 0 is answered with `REACHED`
at the end of the recipe's steps; it is looked for on a grid of factor `STEP` from a first guess, down from a model that
reaches it and up from one that does not, and log N is interpolated linearly in the accuracy between the last two. Where
their accuracies are more than `FAR` apart, `halve` puts one size between them first.
The first guesses have equal kappa for every |X| (two-hop), or follow what coverage alone asks for (four slots).
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from quince.eval.coverage.scaling import PAPER_EXPONENTS, fit_power_law, rows_for
from quince.eval.measure.statistics import StatisticsError

os.environ.setdefault("OMP_NUM_THREADS", "1")

RESULTS = Path(__file__).parents[2] / "docs" / "results"
REACHED = 0.95
STEP = 1.25
MOST_STEPS = 4
"""Sizes above or below the first guess, before the search is given up."""
LEAST_TESTED = 50
"""Rows of type 0 that an accuracy is measured on; N beyond that counts as more than there are compositions."""
FAR = 0.3
"""Accuracies between which a straight line says little about where 0.95 lies."""
SEEDS = (0, 1, 2)
EARLIER = 20


@dataclass(frozen=True)
class Study:
    """One law to measure.

    Attributes:
        family, target: Of the data.
        values: |X|, in the order in which they are run.
        guess: First N to look at.
        known: Study of `coverage.json` whose models, with `EARLIER` values, are points as well.
    """

    family: str
    target: str
    values: tuple[int, ...]
    guess: Callable[[int], float]
    known: str | None = None


STUDIES = {
    "two_hop": Study("two_hop", "direct", (16, 24, 14, 28), lambda n: rows_for(8.2, n), "two_hop"),
    "two_hop_cot": Study("two_hop", "cot", (12, 24, 16, 28), lambda n: rows_for(1.4, n), "cot"),
    "parallel": Study("parallel", "direct", (8, 6, 10, 12), lambda n: 560 * (n / 8) ** 2.8),
    "three_hop": Study("three_hop", "direct", (8, 6, 10, 12), lambda n: 560 * (n / 8) ** 2.8),
}
Measured = dict[int, tuple[int, int]]
"""Right answers and rows of type 0, by N."""


def sizes_to_try(guess: float) -> Generator[int, bool, None]:
    """Sizes one by one; the caller sends back whether the last was enough. Ends with a bracket or at `MOST_STEPS`."""
    enough = yield round(guess)
    factor = 1 / STEP if enough else STEP
    for step in range(1, MOST_STEPS + 1):
        now = yield round(guess * factor**step)
        if now != enough:
            return


def bracket(measured: Measured) -> tuple[tuple[int, float], tuple[int, float]] | None:
    """The smallest size that is enough and the next smaller one, with their accuracies; None without both."""
    shares = {rows: good / total for rows, (good, total) in sorted(measured.items())}
    enough = [rows for rows, share in shares.items() if share >= REACHED]
    less = [rows for rows in shares if enough and rows < enough[0]]
    return ((less[-1], shares[less[-1]]), (enough[0], shares[enough[0]])) if less else None


def crossing(measured: Measured) -> float | None:
    """Required N, interpolated within its bracket; None without one."""
    found = bracket(measured)
    if found is None:
        return None
    (low, below), (high, above) = found
    return float(np.exp(np.log(low) + (REACHED - below) / (above - below) * np.log(high / low)))


def halve(runs: Path, name: str, values: int, seed: int) -> None:
    """Train the size in the middle of a bracket whose ends are `FAR` apart, unless that was done."""
    own = points(collect(runs), name).get((values, seed), {})
    found = bracket(own)
    if found is None or found[1][1] - found[0][1] <= FAR or found[1][0] / found[0][0] < STEP**0.75:
        return
    rows = round((found[0][0] * found[1][0]) ** 0.5)
    good, total = trained(point_folder(runs, name, values, seed), STUDIES[name], values, seed, rows)
    print(f"{name}, {values} values, seed {seed}: {rows} rows, {good} of {total}", flush=True)


def points(models: Iterable[dict[str, Any]], name: str) -> dict[tuple[int, int], Measured]:
    """The models of a study by |X| and seed."""
    found: dict[tuple[int, int], Measured] = {}
    for model in models:
        if model["study"] == name:
            own = found.setdefault((model["values"], model["seed"]), {})
            own[model["rows"]] = (model["right"], model["tested"])
    return found


def search(runs: Path, name: str, values: int, seed: int) -> None:
    """Train until the required N is bracketed, more compositions do not exist, or the steps are used up."""
    study, folder = STUDIES[name], point_folder(runs, name, values, seed)
    sizes = sizes_to_try(study.guess(values))
    rows: int | None = next(sizes)
    while rows is not None:
        good, total = trained(folder, study, values, seed, rows)
        print(f"{folder}: {rows} rows, {good} of {total}", flush=True)
        try:
            rows = sizes.send(not total or good / total >= REACHED)
        except StopIteration:
            rows = None


def trained(folder: Path, study: Study, values: int, seed: int, rows: int) -> tuple[int, int]:
    """Right answers and rows of type 0 of one model, which is trained unless it is there; (0, 0) if it cannot be."""
    import torch
    from quince.data.compositional.generate import CompositionError, Task, generate
    from quince.recipes.config import load_recipe
    from quince.recipes.coverage.train_probe import RESULT, train_probe

    out = folder / f"rows_{rows}"
    if not (out / RESULT).is_file():
        try:
            made = generate(Task(study.family, values, rows, seed=seed))
        except CompositionError:
            return 0, 0
        if len(made.test.get(0, ())) < LEAST_TESTED:
            return 0, 0
        torch.set_num_threads(1)
        data = [f"data.family={study.family}", f"data.target={study.target}", f"data.values={values}"]
        run = [f"data.rows=[{rows}]", f"seed={seed}", f"output_dir={out}", "trainer.disable_tqdm=true"]
        train_probe(load_recipe("coverage/tiny", [*data, *run]))
    good, total = json.loads((out / RESULT).read_text(encoding="utf-8"))["right"]["type_0"]
    return good, total


def point_folder(runs: Path, name: str, values: int, seed: int) -> Path:
    """Where the models of a point are."""
    return runs / name / f"values_{values}" / f"seed_{seed}"


def collect(runs: Path) -> Iterator[dict[str, Any]]:
    """Every model: study, |X|, seed, N, right answers, rows of type 0, steps and CPU seconds."""
    earlier = json.loads((RESULTS / "coverage.json").read_text(encoding="utf-8"))
    for name, study in STUDIES.items():
        for result in earlier:
            if result["study"] == study.known:
                yield _model(name, result) | {"earlier": True}
        for file in sorted((runs / name).glob("values_*/seed_*/rows_*/result.json")):
            yield _model(name, json.loads(file.read_text(encoding="utf-8")))


def _model(name: str, result: dict[str, Any]) -> dict[str, Any]:
    task = result["data"]["task"]
    where = {"study": name, "values": task["values"], "seed": task["seed"], "rows": task["rows"]}
    good, total = result["right"]["type_0"]
    return where | {"right": good, "tested": total, "steps": result["steps"], "cpu_seconds": result["cpu_seconds"]}


def law(models: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    """Required N of every point of a study, and the fitted exponent where there are enough of them."""
    found = [(values, seed, crossing(own)) for (values, seed), own in sorted(points(models, name).items())]
    known = [(values, rows) for values, _, rows in found if rows is not None]
    try:
        fitted = fit_power_law(*zip(*known, strict=True)) if known else None
    except StatisticsError:
        fitted = None
    return {
        "points": found,
        "exponent": fitted.exponent.as_dict() if fitted else None,
        "r_squared": fitted.r_squared if fitted else None,
        "paper_trained": PAPER_EXPONENTS[STUDIES[name].family, STUDIES[name].target],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("verb", choices=("run", "halve", "report"))
    parser.add_argument("--runs", type=Path, default=Path("runs/bench/coverage_required"), help="Folder of the runs.")
    parser.add_argument("--study", action="append", choices=STUDIES, help="Only these.")
    parser.add_argument("--values", action="append", type=int, help="Only these numbers of values.")
    parser.add_argument("--seed", action="append", type=int, help="Only these.")
    arguments = parser.parse_args()
    if arguments.verb == "report":
        models = list(collect(arguments.runs))
        found = {"models": models, "laws": {name: law(models, name) for name in STUDIES}}
        (RESULTS / "coverage_required.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        return
    for seed in arguments.seed or SEEDS:
        for name in arguments.study or STUDIES:
            earlier = (EARLIER,) if arguments.verb == "halve" and STUDIES[name].known else ()
            for values in arguments.values or (*STUDIES[name].values, *earlier):
                (halve if arguments.verb == "halve" else search)(arguments.runs, name, values, seed)


if __name__ == "__main__":
    main()
