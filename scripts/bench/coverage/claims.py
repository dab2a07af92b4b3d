"""The claims of the coverage bench, each with what was measured and whether it holds, does not, or is not measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from scipy.stats import norm
from scipy.stats import t as student

Result = dict[str, Any]
Outcome = tuple[bool, str]  # whether a claim holds, and the figures
LARGE = 3000


def over_seeds(values: Sequence[float | None], digits: int = 2) -> str:
    found = [value for value in values if value is not None and np.isfinite(value)]
    if not found:
        return "-"
    mean = f"{np.mean(found):.{digits}f}"
    if len(found) < 2:
        return mean
    half = student.ppf(0.975, len(found) - 1) * np.std(found, ddof=1) / len(found) ** 0.5
    return f"{mean} ± {half:.{digits}f}"


def share(result: Result, name: str) -> float:
    good, rows = result["right"].get(name, (0, 0))
    return good / rows if rows else float("nan")


def sizes(results: Sequence[Result], study: str) -> dict[int, list[Result]]:
    own = [result for result in results if result["study"] == study]
    return {
        rows: [result for result in own if result["data"]["task"]["rows"] == rows]
        for rows in sorted({result["data"]["task"]["rows"] for result in own})
    }


def gap(result: Result, name: str, group: str = "type_0") -> float:
    return result["states"]["iicg"][group][name][1][1]


def flips(result: Result) -> float:
    return result["states"]["interchange"]["other_bridge/layer_1/position_1"]["flips"]


def held_out(result: Result) -> float:
    return share(result, "type_0" if "type_0" in result["right"] else "type_1")


def mechanism(seeds: Sequence[Result], kind: str, name: str) -> list[float]:
    """Accuracy, seed by seed, on the rows of a type whose answer one mechanism gives away; NaN without rows."""
    counts = [seed["by_mechanism"][kind][name] for seed in seeds]
    return [good / rows if rows else float("nan") for good, rows in counts]


def _known_and_unknown(seeds: list[Result]) -> Outcome:
    known = [share(seed, "type_0") for seed in seeds]
    unknown = [max(share(seed, f"type_{kind}") for kind in (1, 2, 3)) for seed in seeds]
    text = f"type 0 {over_seeds(known, 3)}, lowest {min(known):.3f}; highest of types 1 to 3 {max(unknown):.3f}"
    return min(known) >= 0.95 and max(unknown) <= 0.2, text


def _rises(study: dict[int, list[Result]]) -> Outcome:
    texts, holds = [], True
    for rows, seeds in study.items():
        if rows == LARGE:
            continue
        counts = [(int(k), *pair) for seed in seeds for k, pair in seed["by_cutoff"].items()]
        middle = np.median(np.repeat([k for k, _, _ in counts], [total for _, _, total in counts]))
        low, high = (np.sum([pair for k, *pair in counts if (k > middle) == above], axis=0) for above in (False, True))
        difference = high[0] / high[1] - low[0] / low[1]
        spread = sum(good / total * (1 - good / total) / total for good, total in (low, high)) ** 0.5
        half = norm.ppf(0.975) * spread
        holds &= bool(difference - half > 0)
        texts.append(f"{rows:,} rows: {difference:+.2f} [{difference - half:+.2f}, {difference + half:+.2f}]")
    return holds, "above the median k-cutoff minus the rest, " + "; ".join(texts)


def _clusters(large: list[Result], small: list[Result]) -> Outcome:
    high, low = ([gap(seed, "b1") for seed in seeds] for seeds in (large, small))
    difference = np.mean(high) - np.mean(low)
    return difference >= 0.1, f"{over_seeds(high, 3)} against {over_seeds(low, 3)}, difference {difference:.3f}"


def _swaps(large: list[Result], small: list[Result]) -> Outcome:
    high, low = (list(map(flips, seeds)) for seeds in (large, small))
    return np.mean(high) >= 0.9 and np.mean(low) <= 0.5, f"{over_seeds(high)} against {over_seeds(low)}"


def _cot(direct: dict[int, list[Result]], cot: dict[int, list[Result]]) -> Outcome:
    right = {rows: [share(seed, "type_0") for seed in seeds] for rows, seeds in cot.items()}
    beside = {rows: [share(seed, "type_0") for seed in direct[rows]] for rows in right if rows in direct}
    both = [f"{rows:,} rows: {over_seeds(right[rows])} written, {over_seeds(beside[rows])} not" for rows in beside]
    alone = [f"{rows:,} rows: {over_seeds(right[rows])}" for rows in right if rows not in beside]
    text = "; ".join(both) + (f"; written, {'; '.join(alone)}" if alone else "")
    return bool(beside) and all(min(right[rows]) > max(beside[rows]) for rows in beside), text


def _non_tree(seeds: list[Result]) -> Outcome:
    alone, token, joint = ([gap(seed, name) for seed in seeds] for name in ("b1", "x2", "b1, x2"))
    accuracy = over_seeds([share(seed, "type_0") for seed in seeds])
    gaps = f"by b {over_seeds(alone, 3)}, by x2 alone {over_seeds(token, 3)}, by (b, x2) {over_seeds(joint, 3)}"
    holds = np.mean(alone) <= 0.1 and np.mean(joint) >= np.mean(token) + 0.1
    return holds, f"{gaps}; accuracy on type 0 {accuracy}"


def _perpendicular_addition(plain: list[Result], perpendicular: list[Result]) -> Outcome:
    without, with_it = (list(map(held_out, seeds)) for seeds in (plain, perpendicular))
    text = f"{over_seeds(with_it)} against {over_seeds(without)} without it and without decay"
    return min(with_it) > max(without) + 0.5, text


def _perpendicular_two_hop(decay: list[Result], perpendicular: list[Result]) -> Outcome:
    with_decay, with_it = (list(map(held_out, seeds)) for seeds in (decay, perpendicular))
    return max(with_it) < min(with_decay), f"{over_seeds(with_it)} against {over_seeds(with_decay)} with decay"


def _gained(seeds: list[Result]) -> Outcome:
    """Rows that a property gives away against those that nothing does, within types 1 to 3."""
    known, rest = (
        np.array([mechanism(seeds, f"type_{n}", name) for n in (1, 2, 3)]) for name in ("property", "neither")
    )
    pairs = enumerate(zip(known, rest, strict=True), start=1)
    text = "; ".join(f"type {n} {over_seeds(one)} against {over_seeds(other)}" for n, (one, other) in pairs)
    return bool((known - rest).mean(0).min() >= 0.1), text


def _ignored(seeds: list[Result]) -> Outcome:
    found = mechanism(seeds, "type_2", "equivalence")
    return min(found) >= 0.95, f"{over_seeds(found, 3)}, lowest {min(found):.3f}"


_ALL = (_known_and_unknown, _rises, _clusters, _swaps, _cot, _non_tree, _perpendicular_addition, _perpendicular_two_hop)
JUDGES: dict[str, Callable[..., Outcome]] = {judge.__name__[1:]: judge for judge in (*_ALL, _gained, _ignored)}
TABLE = yaml.safe_load(Path(__file__).with_name("studies.yaml").read_text(encoding="utf-8"))


def judged(results: Sequence[Result]) -> list[tuple[str, bool | None, str]]:
    def of(need: str) -> Any:
        study, size = need.split()
        found = sizes(results, study)
        if size == "all":
            return found
        return next(iter(found.values()), []) if size == "first" else found.get(int(size), [])

    outcomes = []
    for claim, judge, needs in (entry.values() for entry in TABLE["claims"]):
        data = list(map(of, needs))
        holds, text = JUDGES[judge](*data) if all(data) else (None, "")
        outcomes.append((claim, None if holds is None else bool(holds), text))
    return outcomes


def claims_text(results: Sequence[Result]) -> str:
    words = {True: "holds", False: "does not hold", None: "not measured"}
    return "".join(
        f"{number}. {claim}: **{words[holds]}**.{f' Measured: {text}.' if text else ''}\n"
        for number, (claim, holds, text) in enumerate(judged(results), start=1)
    )
