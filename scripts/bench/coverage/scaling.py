"""How the rows that coverage asks for grow with |X|, beside the theory's exponent; no model is trained.

python scripts/bench/coverage/scaling.py
"""

from __future__ import annotations

from itertools import product

import numpy as np
from quince.data.compositional.generate import CompositionError, Task, generate
from quince.eval.coverage.closure import k_cutoffs
from quince.eval.coverage.observations import observe
from quince.eval.coverage.power_law import PAPER_EXPONENTS, fit_power_law, theory_exponent
from quince.scripts.bench.pages import Page, Results, bench, span, table

VALUES = {"two_hop": (16, 24, 36, 54, 80), "parallel": (8, 11, 15, 20), "three_hop": (8, 11, 15, 20)}
KS = (1, 2, 3)
SEEDS = (0, 1, 2)
COVERED = 0.99
TOLERANCE = 0.02  # Of log N


def shares(family: str, values: int, rows: int, seed: int) -> np.ndarray:
    """Share of held-out compositions that are covered, for each k; all where too few are left to hold out."""
    try:
        data = generate(Task(family, values, rows, test_size=500, seed=seed))
    except CompositionError:
        return np.ones(len(KS))
    if 0 not in data.test:
        return np.ones(len(KS))
    observed = observe(data.train.inputs, data.train.answers, (values,) * data.task.program.slots)
    cutoffs = k_cutoffs(observed, data.test[0].inputs, largest_k=max(KS))
    return np.array([(cutoffs >= k).mean() for k in KS])


def needed(family: str, values: int, k: int, seed: int, known: dict[int, np.ndarray]) -> float:
    """Smallest N by bisection on its logarithm; sizes that were looked at for another k are not made again."""
    hops, slots = {"two_hop": (2, 3), "parallel": (3, 4), "three_hop": (3, 4)}[family]
    low, high = np.log(values**1.5), np.log(0.9 * 0.7**hops * values**slots)
    while high - low > TOLERANCE:
        rows = round(np.exp((low + high) / 2))
        if rows not in known:
            known[rows] = shares(family, values, rows, seed)
        if known[rows][KS.index(k)] >= COVERED:
            high = np.log(rows)
        else:
            low = np.log(rows)
    return float(np.exp(high))


def study(family: str) -> dict[str, object]:
    found: dict[str, object] = {}
    known: dict[tuple[int, int], dict[int, np.ndarray]] = {}
    for k in KS:
        where = product(VALUES[family], SEEDS)
        points = [(n, needed(family, n, k, seed, known.setdefault((n, seed), {}))) for n, seed in where]
        law = fit_power_law(*zip(*points, strict=True))
        fit = {"exponent": law.exponent.as_dict(), "r_squared": law.r_squared}
        found[str(k)] = {"points": points, **fit, "theory": theory_exponent(k) if family == "two_hop" else None}
        print(f"{family}, k = {k}: exponent {law.exponent.estimate:.2f}", flush=True)
    return found | {"paper_trained": PAPER_EXPONENTS[family, "direct"]}


def measure() -> Results:
    return {"families": {family: study(family) for family in VALUES}}


def render(found: Results) -> str:
    rows = []
    for family, one in found["families"].items():
        for k, law in ((k, one[k]) for k in one if k.isdigit()):
            values = sorted({point[0] for point in law["points"]})
            theory = "-" if law["theory"] is None else f"{law['theory']:.2f}"
            fit = [f"{values[0]} to {values[-1]}", span(law["exponent"]), f"{law['r_squared']:.3f}", theory]
            rows.append([family.replace("_", "-"), k, *fit, f"{one['paper_trained']:.2f}"])
    two = found["families"]["two_hop"]
    gaps = [abs(two[str(k)]["exponent"]["estimate"] - two[str(k)]["theory"]) for k in KS]
    return f"""The rows that coverage asks for on two-hop grow as the theory says within {max(gaps):.2f} of its
exponents.
No model is trained: N is the smallest size at which {COVERED:.0%} of the held-out compositions of known primitives are
covered with evidence k.

{table(["family", "k", "values", "exponent of N", "R²", "theory", "paper, trained GPT-2"], rows)}"""


PAGE = Page("coverage_scaling", "Rows that coverage asks for", render, seeds=SEEDS)

if __name__ == "__main__":
    bench(PAGE, measure)
