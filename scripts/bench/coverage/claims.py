"""The claims of the coverage bench, each with what was measured and whether it holds, does not, or is not measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import norm
from scipy.stats import t as student

Result = dict[str, Any]
Outcome = tuple[bool | None, str]  # Whether a claim holds (None where runs are missing), and the figures
LARGE, SMALL = 3000, 1600


def over_seeds(values: Sequence[float | None], digits: int = 2) -> str:
    """Mean with Student's 95 % interval over seeds; without it for one seed."""
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
    found: dict[int, list[Result]] = {}
    for result in results:
        if result["study"] == study:
            found.setdefault(result["data"]["task"]["rows"], []).append(result)
    return dict(sorted(found.items()))


def gap(result: Result, name: str, group: str = "type_0") -> float:
    return result["states"]["iicg"][group][name][1][1]


def flips(result: Result) -> float:
    """Share of answers that follow a swapped state after the first block at x2."""
    return result["states"]["interchange"]["other_bridge/layer_1/position_1"]["flips"]


def held_out(result: Result) -> float:
    return share(result, "type_0" if "type_0" in result["right"] else "type_1")


def _known_and_unknown(results: Sequence[Result]) -> Outcome:
    seeds = sizes(results, "two_hop").get(LARGE, [])
    if not seeds:
        return None, ""
    known = [share(seed, "type_0") for seed in seeds]
    unknown = [max(share(seed, f"type_{kind}") for kind in (1, 2, 3)) for seed in seeds]
    text = f"type 0 {over_seeds(known, 3)}, lowest {min(known):.3f}; highest of types 1 to 3 {max(unknown):.3f}"
    return min(known) >= 0.95 and max(unknown) <= 0.2, text


def _rises(results: Sequence[Result]) -> Outcome:
    texts, holds = [], True
    for rows, seeds in sizes(results, "two_hop").items():
        if rows == LARGE:
            continue
        counts = [(int(k), *pair) for seed in seeds for k, pair in seed["by_cutoff"].items()]
        middle = np.median(np.repeat([k for k, _, _ in counts], [total for _, _, total in counts]))
        low, high = (
            np.sum([(good, total) for k, good, total in counts if (k > middle) == above], axis=0)
            for above in (False, True)
        )
        difference = high[0] / high[1] - low[0] / low[1]
        spread = sum(good / total * (1 - good / total) / total for good, total in (low, high)) ** 0.5
        half = norm.ppf(0.975) * spread
        holds &= bool(difference - half > 0)
        texts.append(f"{rows:,} rows: {difference:+.2f} [{difference - half:+.2f}, {difference + half:+.2f}]")
    return (holds, "above the median k-cutoff minus the rest, " + "; ".join(texts)) if texts else (None, "")


def _clusters(results: Sequence[Result]) -> Outcome:
    both = sizes(results, "two_hop")
    if not {LARGE, SMALL} <= set(both):
        return None, ""
    large, small = ([gap(seed, "b1") for seed in both[rows]] for rows in (LARGE, SMALL))
    difference = np.mean(large) - np.mean(small)
    return difference >= 0.1, f"{over_seeds(large, 3)} against {over_seeds(small, 3)}, difference {difference:.3f}"


def _swaps(results: Sequence[Result]) -> Outcome:
    both = sizes(results, "two_hop")
    if not {LARGE, SMALL} <= set(both):
        return None, ""
    large, small = ([flips(seed) for seed in both[rows]] for rows in (LARGE, SMALL))
    return np.mean(large) >= 0.9 and np.mean(small) <= 0.5, f"{over_seeds(large)} against {over_seeds(small)}"


def _cot(results: Sequence[Result]) -> Outcome:
    direct, cot = sizes(results, "two_hop"), sizes(results, "cot")
    shared = sorted(set(direct) & set(cot))
    if not shared:
        return None, ""
    pairs = [(rows, *([share(s, "type_0") for s in study[rows]] for study in (cot, direct))) for rows in shared]
    text = "; ".join(f"{rows:,} rows: {over_seeds(a)} written, {over_seeds(b)} not" for rows, a, b in pairs)
    smaller = "; ".join(
        f"{n:,} rows: {over_seeds([share(s, 'type_0') for s in cot[n]])}" for n in cot if n not in shared
    )
    return all(min(a) > max(b) for _, a, b in pairs), text + (f"; written, {smaller}" if smaller else "")


def _non_tree(results: Sequence[Result]) -> Outcome:
    seeds = sizes(results, "non_tree").get(LARGE, [])
    if not seeds:
        return None, ""
    alone, token, joint = ([gap(seed, name) for seed in seeds] for name in ("b1", "x2", "b1, x2"))
    accuracy = [share(seed, "type_0") for seed in seeds]
    gaps = f"by b {over_seeds(alone, 3)}, by x2 alone {over_seeds(token, 3)}, by (b, x2) {over_seeds(joint, 3)}"
    text = f"{gaps}; accuracy on type 0 {over_seeds(accuracy)}"
    return np.mean(alone) <= 0.1 and np.mean(joint) >= np.mean(token) + 0.1, text


def _perpendicular_addition(results: Sequence[Result]) -> Outcome:
    plain, perp = (sizes(results, f"modular_addition{name}").values() for name in ("", "_perpendicular"))
    if not plain or not perp:
        return None, ""
    plain, perp = ([held_out(seed) for seed in next(iter(study))] for study in (plain, perp))
    return min(perp) > max(plain) + 0.5, f"{over_seeds(perp)} against {over_seeds(plain)} without it and without decay"


def _perpendicular_two_hop(results: Sequence[Result]) -> Outcome:
    decay, perp = sizes(results, "two_hop").get(LARGE, []), sizes(results, "two_hop_perpendicular").get(LARGE, [])
    if not decay or not perp:
        return None, ""
    with_decay, with_perp = ([held_out(seed) for seed in seeds] for seeds in (decay, perp))
    return max(with_perp) < min(with_decay), f"{over_seeds(with_perp)} against {over_seeds(with_decay)} with decay"


def mechanism(seeds: Sequence[Result], kind: str, name: str) -> list[float]:
    """Accuracy, seed by seed, on the rows of a type whose answer one mechanism gives away; NaN without rows."""
    counts = [seed["by_mechanism"][kind][name] for seed in seeds]
    return [good / rows if rows else float("nan") for good, rows in counts]


def _gained(results: Sequence[Result], study: str) -> Outcome:
    """Rows that a property gives away against those that nothing does, within types 1 to 3."""
    seeds = sizes(results, study).get(LARGE, [])
    if not seeds:
        return None, ""
    gains, texts = [], []
    for number in (1, 2, 3):
        known, rest = (np.array(mechanism(seeds, f"type_{number}", name)) for name in ("property", "neither"))
        gains.append(known - rest)
        texts.append(f"type {number} {over_seeds(known)} against {over_seeds(rest)}")
    return bool(np.mean(gains, axis=0).min() >= 0.1), "; ".join(texts)


def _ignored(results: Sequence[Result]) -> Outcome:
    seeds = sizes(results, "ignored").get(LARGE, [])
    if not seeds:
        return None, ""
    found = mechanism(seeds, "type_2", "equivalence")
    return min(found) >= 0.95, f"{over_seeds(found, 3)}, lowest {min(found):.3f}"


CLAIMS: dict[str, Callable[[Sequence[Result]], Outcome]] = {
    "At 3,000 rows type 0 is answered with at least 0.95, and types 1 to 3 with at most 0.2, in every seed": (
        _known_and_unknown
    ),
    "At the smaller sizes accuracy rises with the k-cutoff": _rises,
    "States cluster by bridge value: IICG at 3,000 rows is at least 0.1 above that at 1,600": _clusters,
    "Swapping the state at x2 flips at least 90 % of answers at 3,000 rows, and at most half at 1,600": _swaps,
    "With the bridge value written first fewer rows are enough": _cot,
    "Non-tree clusters depend on x2: IICG by b at most 0.1, by (b, x2) 0.1 above x2 alone": _non_tree,
    "Perpendicular gradients make modular addition generalise without weight decay": _perpendicular_addition,
    "They do not replace weight decay on two-hop": _perpendicular_two_hop,
    "Symmetric tables: rows that only the symmetry gives away are answered more often than rows of the same type that "
    "nothing does, by at least 0.1 on average over types 1 to 3 in every seed": partial(_gained, study="symmetric"),
    "An ignored argument: type 2, which equivalent values cover, is answered with at least 0.95 in every seed": (
        _ignored
    ),
    "One table at both places: the same as for symmetric tables, for entries that only the other place uses": partial(
        _gained, study="same"
    ),
}


def judged(results: Sequence[Result]) -> list[tuple[str, bool | None, str]]:
    found = ((claim, *judge(results)) for claim, judge in CLAIMS.items())
    return [(claim, None if holds is None else bool(holds), text) for claim, holds, text in found]


def claims_text(results: Sequence[Result]) -> str:
    words = {True: "holds", False: "does not hold", None: "not measured"}
    return "".join(
        f"{number}. {claim}: **{words[holds]}**.{f' Measured: {text}.' if text else ''}\n"
        for number, (claim, holds, text) in enumerate(judged(results), start=1)
    )
