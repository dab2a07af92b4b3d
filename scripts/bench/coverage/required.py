"""How many rows trained models need for each |X|, with the power law beside the paper's exponents.

    python scripts/bench/coverage/required.py run                 # every point; finished models are passed
    python scripts/bench/coverage/required.py halve               # one size more within wide brackets
    python scripts/bench/coverage/required.py report              # the page

N is required when type 0 is answered with `REACHED`. It is looked for on a grid of factor `STEP` from a first guess,
and log N is interpolated linearly in the accuracy.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from quince.eval.coverage.power_law import PAPER_EXPONENTS, fit_power_law
from quince.eval.coverage.scaling import kappa, rows_for
from quince.eval.measure.statistics import StatisticsError
from quince.scripts.bench.pages import RESULTS, Page, Results, bench, span, stamp_of, table

RUNS = Path("runs/bench/coverage_required")
REACHED = 0.95
STEP = 1.25
MOST_STEPS = 4  # Sizes above or below the first guess, before the search is given up
LEAST_TESTED = 50
"""Rows of type 0 that an accuracy is measured on; N beyond that counts as more than there are compositions."""
FAR = 0.3  # Accuracies between which a straight line says little about where 0.95 lies
SEEDS = (0, 1, 2)
EARLIER = 20


@dataclass(frozen=True)
class Study:
    """One law to measure."""

    family: str
    target: str
    values: tuple[int, ...]  # |X|, in the order in which they are run
    guess: Callable[[int], float]  # First N to look at
    known: str | None = None  # Study of `coverage.json` whose models, with `EARLIER` values, are points as well


STUDIES = {
    "two_hop": Study("two_hop", "direct", (16, 24, 14, 28), lambda n: rows_for(8.2, n), "two_hop"),
    "two_hop_cot": Study("two_hop", "cot", (12, 24, 16, 28), lambda n: rows_for(1.4, n), "cot"),
    "parallel": Study("parallel", "direct", (8, 6, 10, 12), lambda n: 560 * (n / 8) ** 2.8),
    "three_hop": Study("three_hop", "direct", (8, 6, 10, 12), lambda n: 560 * (n / 8) ** 2.8),
}
Measured = dict[int, tuple[int, int]]  # Right answers and rows of type 0, by N


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
    shares = [(rows, good / total) for rows, (good, total) in sorted(measured.items())]
    first = next((at for at, (_, share) in enumerate(shares) if share >= REACHED), 0)
    return (shares[first - 1], shares[first]) if first else None


def crossing(measured: Measured) -> float | None:
    if (found := bracket(measured)) is None:
        return None
    (low, below), (high, above) = found
    return float(np.exp(np.log(low) + (REACHED - below) / (above - below) * np.log(high / low)))


def halve_point(runs: Path, name: str, values: int, seed: int) -> None:
    """Train the size in the middle of a bracket whose ends are `FAR` apart, unless that was done."""
    own = points(collect(runs), name).get((values, seed), {})
    found = bracket(own)
    if found is None or found[1][1] - found[0][1] <= FAR or found[1][0] / found[0][0] < STEP**0.75:
        return
    rows = round((found[0][0] * found[1][0]) ** 0.5)
    good, total = trained(point_folder(runs, name, values, seed), STUDIES[name], values, seed, rows)
    print(f"{name}, {values} values, seed {seed}: {rows} rows, {good} of {total}", flush=True)


def points(models: Iterable[dict[str, Any]], name: str) -> dict[tuple[int, int], Measured]:
    found: dict[tuple[int, int], Measured] = defaultdict(dict)
    for model in models:
        if model["study"] == name:
            found[model["values"], model["seed"]][model["rows"]] = (model["right"], model["tested"])
    return found


def search(runs: Path, name: str, values: int, seed: int) -> None:
    """Train until the required N is bracketed, more compositions do not exist, or the steps are used up."""
    study, folder = STUDIES[name], point_folder(runs, name, values, seed)
    sizes = sizes_to_try(study.guess(values))
    rows = next(sizes)
    with suppress(StopIteration):
        while True:
            good, total = trained(folder, study, values, seed, rows)
            print(f"{folder}: {rows} rows, {good} of {total}", flush=True)
            rows = sizes.send(not total or good / total >= REACHED)


def trained(folder: Path, study: Study, values: int, seed: int, rows: int) -> tuple[int, int]:
    """Right answers and rows of type 0 of one model, which is trained unless it is there; (0, 0) if it cannot be."""
    import torch
    from quince.data.compositional.generate import CompositionError, Task, generate
    from quince.recipes.config import load_recipe
    from quince.recipes.coverage.train_probe import RESULT, train_probe

    out = folder / f"rows_{rows}"
    if not (out / RESULT).is_file():
        try:
            enough = len(generate(Task(study.family, values, rows, seed=seed)).test.get(0, ())) >= LEAST_TESTED
        except CompositionError:
            enough = False
        if not enough:
            return 0, 0
        torch.set_num_threads(1)
        data = [f"data.family={study.family}", f"data.target={study.target}", f"data.values={values}"]
        run = [f"data.rows=[{rows}]", f"seed={seed}", f"output_dir={out}", "trainer.disable_tqdm=true"]
        train_probe(load_recipe("coverage/tiny", [*data, *run]))
    good, total = json.loads((out / RESULT).read_text(encoding="utf-8"))["right"]["type_0"]
    return good, total


def point_folder(runs: Path, name: str, values: int, seed: int) -> Path:
    return runs / name / f"values_{values}" / f"seed_{seed}"


def collect(runs: Path) -> Iterator[dict[str, Any]]:
    earlier = json.loads((RESULTS / "coverage.json").read_text(encoding="utf-8"))["runs"]
    for name, study in STUDIES.items():
        for result in earlier:
            if result["study"] == study.known:
                yield _model(name, result) | {"earlier": True, "stamp": result["stamp"]}
        for file in sorted((runs / name).glob("values_*/seed_*/rows_*/result.json")):
            yield _model(name, json.loads(file.read_text(encoding="utf-8"))) | {"stamp": stamp_of(file.parent)}


def _model(name: str, result: dict[str, Any]) -> dict[str, Any]:
    task = result["data"]["task"]
    where = {"study": name, "values": task["values"], "seed": task["seed"], "rows": task["rows"]}
    good, total = result["right"]["type_0"]
    return where | {"right": good, "tested": total, "steps": result["steps"], "cpu_seconds": result["cpu_seconds"]}


def law(models: Sequence[dict[str, Any]], name: str) -> dict[str, Any]:
    points_of = [(values, seed, crossing(own)) for (values, seed), own in sorted(points(models, name).items())]
    found: dict[str, Any] = {"points": points_of, "exponent": None, "r_squared": None}
    known = [(values, rows) for values, _, rows in points_of if rows is not None]
    with suppress(StatisticsError):
        if known:
            fitted = fit_power_law(*zip(*known, strict=True))
            found |= {"exponent": fitted.exponent.as_dict(), "r_squared": fitted.r_squared}
    return found | {"paper_trained": PAPER_EXPONENTS[STUDIES[name].family, STUDIES[name].target]}


def each(
    act: Callable[..., None],
    runs: Path = RUNS,
    study: Sequence[str] = tuple(STUDIES),
    values: Sequence[int] = (0,),
    seed: Sequence[int] = SEEDS,
) -> None:
    for number, name in product(seed, study):
        known = (EARLIER,) if act is halve_point and STUDIES[name].known else ()
        for size in values if any(values) else (*STUDIES[name].values, *known):
            act(runs, name, size, number)


def report(runs: Path = RUNS) -> Results:
    models = list(collect(runs))
    stamps = [model.pop("stamp") for model in models]
    return {"models": models, "laws": {name: law(models, name) for name in STUDIES}, "stamps": stamps}


def render(found: Results) -> str:
    laws, points, said = [], [], []
    for name, one in found["laws"].items():
        shown = name.replace("_", " ")
        for values in dict.fromkeys(values for values, _, _ in one["points"]):
            seeds = [needed for size, _, needed in one["points"] if size == values]
            reached = [rows for rows in seeds if rows is not None]
            contexts = [f"{kappa(rows, values):.1f}" for rows in reached] if name.startswith("two_hop") else []
            listed = [", ".join(f"{rows:,.0f}" for rows in reached) or "-", ", ".join(contexts) or "-"]
            points.append([shown, str(values), *listed, str(len(seeds) - len(reached))])
        squared = f"{one['r_squared']:.3f}" if one["exponent"] else "-"
        theory = "2.00, 2.25, 2.33" if name == "two_hop" else "-"
        fit = span(one["exponent"]) if one["exponent"] else "not measured"
        laws.append([shown, fit, squared, theory, f"{one['paper_trained']:.2f}"])
        said += [f"{one['exponent']['estimate']:.2f} for {shown}"] if one["exponent"] else []
    head = ["family", "exponent of N", "R²", "theory, k = 1, 2, 3", "paper, trained GPT-2"]
    return f"""The rows N that trained models need grow with the number of values to the power of
{", ".join(said) or "an exponent that is not measured yet"}. A model has enough when it answers {REACHED:.0%} of the
held-out compositions of known primitives (type 0) at the end of the steps of `coverage/tiny`.

{table(head, laws)}
{table(["family", "values", "N by seed", "kappa", "seeds without a bracket"], points)}
N is looked for on a grid of factor {STEP} and interpolated. The exponent is the slope of log N with Student's
interval."""


PAGE = Page("coverage_required", "Rows that trained models need", render, seeds=SEEDS)

if __name__ == "__main__":
    bench(PAGE, run=partial(each, search), halve=partial(each, halve_point), report=report)
