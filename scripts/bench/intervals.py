"""Coverage of every interval that is printed, by size, and how often equal models are told apart, by simulation.

python scripts/bench/intervals.py
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from quince.eval.measure.compare import keep_explore, ranks
from quince.eval.measure.statistics import bounded_mean, mean, paired_difference, pass_at_k, proportion
from quince.scripts.bench.pages import Page, Results, bench, table
from scipy.stats import binom

Array = NDArray[np.float64]
Random = np.random.Generator
Row = dict[str, Any]
Draw = Callable[[Random, tuple[int, int]], Array]
MEANS = (0.03, 0.1, 0.3, 0.5, 0.7, 0.9, 0.97)
SIZES = (10, 20, 50, 100)
GROUPS = (5, 10, 30)
SAMPLES = {1: (1,), 16: (1, 16), 64: (1, 16)}  # k of each number of samples
SHARED = {"nothing shared": 1e6, "little shared": 10.0, "half shared": 1.0, "all shared": 0.01}  # concentration
MODELS = (2, 5, 10, 20)
SEED = 20_261_201


def difficulties(average: float) -> dict[str, Draw]:
    """Chances of solving a problem, with this mean over problems, by what they are like."""

    def beta(total: float) -> Draw:
        return lambda rng, shape: rng.beta(average * total, (1 - average) * total, shape)

    high = average > 0.5
    common = average + (1 - average) / 2 if high else average / 2

    def rare(rng: Random, shape: tuple[int, int]) -> Array:
        """Nearly all problems are alike, few are impossible (or certain)."""
        other = rng.random(shape) > (average / common if high else (1 - average) / (1 - common))
        return np.where(other, 0.0 if high else 1.0, common)

    return {
        "all alike": lambda rng, shape: np.full(shape, average),
        "spread": beta(2),
        "easy or hard": beta(0.3),
        "always or never": lambda rng, shape: (rng.random(shape) < average).astype(np.float64),
        "rare exceptions": rare,
    }


def cells() -> Iterator[tuple[str, float, int, int, Draw]]:
    """Every kind of difficulty with samples and k, and the true mean of Pass@k where that lies in .03 to .97."""
    for average in MEANS:
        for name, draw in difficulties(average).items():
            for n, ks in SAMPLES.items():
                many = draw(np.random.default_rng(1), (1, 400_000))
                for k in ks:
                    true = average if k == 1 else float((1 - (1 - many) ** k).mean())
                    if 0.03 <= true <= 0.97:
                        yield name, true, n, k, draw


def solved(rng: Random, chances: Array, n: int, k: int) -> Array:
    return pass_at_k(n, rng.binomial(n, chances), k)


def rate(happens: Callable[[int], Sequence[bool]], draws: int, common: bool) -> float:
    """Share of draws in which something happens; near its bound (95 % if `common`, else 5 %) drawn ten times more."""
    found = float(np.mean(happens(draws)))
    return float(np.mean(happens(10 * draws))) if (found < 0.945 if common else found > 0.045) else found


def of_problems(draws: int) -> list[Row]:
    rng = np.random.default_rng(SEED)

    def held(cell: tuple[str, float, int, int, Draw], size: int, count: int) -> list[bool]:
        _, true, n, k, draw = cell
        return [bounded_mean(v).contains(true) for v in solved(rng, draw(rng, (count, size)), n, k)]

    return [
        dict(zip(("kind", "mean", "n", "k"), cell[:-1], strict=True))
        | {"size": size, "covered": rate(partial(held, cell, size), draws, True)}
        for cell, size in product(list(cells()), SIZES)
    ]


def of_clusters(draws: int) -> list[Row]:
    """Coverage over clusters, whose difficulty is shared to some degree, of equal and of unequal sizes."""
    rng = np.random.default_rng(SEED + 1)
    cases = product(SHARED, MEANS, GROUPS, ("equal", "unequal"), ((1, 1), (16, 1), (16, 16)))
    return [row for case in cases if (row := _clusters(rng, draws, *case))]


def _clusters(rng: Random, draws: int, kind: str, average: float, groups: int, sizes: str, nk: tuple[int, int]) -> Row:
    """One case; empty where its true mean is too near 0 or 1."""
    n, k = nk
    counts = np.full(groups, 10) if sizes == "equal" else np.round(np.geomspace(2, 40, groups)).astype(int)
    labels = np.repeat(np.arange(groups), counts)
    level = average if k == 1 else 1 - (1 - average) ** (1 / 16)

    def chances(shape: tuple[int, int], of: NDArray[np.int64]) -> Array:
        total = SHARED[kind]
        shared = np.clip(rng.beta(level * total, (1 - level) * total, shape), 1e-6, 1 - 1e-6)[:, of]
        return shared if kind == "all shared" else rng.beta(shared, 1 - shared)

    true = float((1 - (1 - chances((200_000, 1), np.zeros(1, dtype=np.int64))) ** k).mean())

    def held(count: int) -> list[bool]:
        tables = solved(rng, chances((count, groups), labels), n, k)
        return [bounded_mean(values, labels.tolist()).contains(true) for values in tables]

    if not 0.03 <= true <= 0.97:
        return {}
    row = {"kind": kind, "mean": true, "n": n, "k": k, "size": groups, "sizes": sizes}
    return row | {"covered": rate(held, draws, True)}


def of_shares() -> list[Row]:
    chances, rows = np.linspace(0.03, 0.97, 95), []
    for trials in (5, *SIZES, 200, 1000):
        ends = np.array([(one.low, one.high) for one in (proportion(right, trials) for right in range(trials + 1))])
        held = (ends[:, :1] <= chances) & (chances <= ends[:, 1:])
        covered = (binom.pmf(np.arange(trials + 1)[:, None], trials, chances) * held).sum(0)
        pairs = zip(chances.round(2).tolist(), covered.round(4).tolist(), strict=True)
        rows += [{"size": trials, "mean": mean, "covered": share} for mean, share in pairs]
    return rows


def of_others(draws: int) -> dict[str, list[Row]]:
    """Coverage of what else is printed: what was kept and newly solved, distinct solutions, tokens."""
    rng, found = np.random.default_rng(SEED + 2), defaultdict(list)
    for average, size in product((0.1, 0.3, 0.5, 0.7, 0.9), SIZES):
        for name, covered in _others_of(rng, draws, average, size).items():
            found[name].append({"size": size, "mean": average, "covered": covered})
    return dict(found)


def _others_of(rng: Random, draws: int, average: float, size: int) -> dict[str, float]:
    def two(shape: int | tuple[int, int]) -> tuple[Array, Array]:
        base = rng.beta(average, 1 - average, shape)
        return base, np.clip(base + rng.normal(0, 0.2, shape), 0, 1)

    def kept(count: int, kind: str, true: float) -> list[bool]:
        pairs = zip(*(solved(rng, chances, 16, 1) for chances in two((count, size))), strict=True)
        shares = [getattr(keep_explore(a, b), kind) for a, b in pairs]
        return [one.contains(true) for one in shares if one is not None]

    def distinct(count: int) -> list[bool]:
        kinds = 1 + rng.binomial(7, two((count, size))[0])
        return [bounded_mean(v, bounds=(0, 2 * v.max())).contains(1 + 7 * average) for v in kinds]

    def divergence(count: int) -> list[bool]:
        shape = 2 + 8 * average
        return [mean(values).contains(1.0) for values in rng.gamma(shape, 1 / shape, (count, size))]

    def tokens(count: int) -> list[bool]:
        spread = 1.2 - average
        true = float(np.exp(5 + spread**2 / 2))
        lengths = rng.lognormal(5, spread, (count, size))
        return [bounded_mean(v, bounds=(0, 2 * v.max())).contains(true) for v in lengths]

    base, after = two(1_000_000)
    keep, explore = float((base * after).sum() / base.sum()), float(((1 - base) * after).sum() / (1 - base).sum())
    figures: dict[str, Callable[[int], list[bool]]] = {
        "kept": partial(kept, kind="keep", true=keep),
        "newly solved": partial(kept, kind="explore", true=explore),
        "distinct solutions, up to 8": distinct,
        "tokens, log-normal": tokens,
        "divergences, Student's interval": divergence,
    }
    return {name: rate(held, draws, True) for name, held in figures.items()}


def of_differences(draws: int) -> list[Row]:
    """How often two equal models differ at p < 0.05, over problems and over clusters."""
    rng, rows = np.random.default_rng(SEED + 3), []
    for average, size, (n, ks) in product(MEANS, (2, 3, 5, 7, *SIZES), SAMPLES.items()):
        for draw, k in product(difficulties(average).values(), ks):
            false = rate(partial(_apart, rng, draw, size, n, k), draws, False)
            rows.append({"over": "problems", "size": size, "false": false})
    for average, groups, sizes, n in product(MEANS, (1, 2, 3, *GROUPS), ("equal", "one large"), (1, 16)):
        counts = np.full(groups, 8) if sizes == "equal" else np.r_[40, np.full(groups - 1, 2)]
        false = rate(partial(_clusters_apart, rng, average, np.repeat(np.arange(groups), counts), n), draws, False)
        rows.append({"over": "clusters", "size": groups, "false": false})
    return rows


def _apart(rng: Random, draw: Draw, size: int, n: int, k: int, count: int) -> list[bool]:
    chances = draw(rng, (count, size))
    pairs = zip(solved(rng, chances, n, k), solved(rng, chances, n, k), strict=True)
    return [(paired_difference(a, b).p_value or 0.0) < 0.05 for a, b in pairs]


def _clusters_apart(rng: Random, average: float, labels: NDArray[np.int64], n: int, count: int) -> list[bool]:
    """Each model is better on some clusters by chance; over all clusters the two are equal."""
    levels = np.clip(rng.normal(average, 0.25, (2, count, labels[-1] + 1)), 0, 1)[:, :, labels]
    pairs = zip(*(rng.binomial(n, levels) / n), strict=True)
    return [(paired_difference(a, b, labels.tolist()).p_value or 0.0) < 0.05 for a, b in pairs]


def of_boards(draws: int) -> list[Row]:
    rng, rows = np.random.default_rng(SEED + 4), []
    for models, size, n, groups in product(MODELS, (10, 50, 100), (1, 16), (0, 10)):
        several = rate(partial(_several_ranks, rng, models, size, n, groups), max(20, 2 * draws // models), False)
        rows.append({"models": models, "size": size, "n": n, "clusters": groups, "several": several})
    return rows


def _several_ranks(rng: Random, models: int, size: int, n: int, groups: int, count: int) -> list[bool]:
    several, labels = [], {i: f"cluster {i % groups}" for i in range(size)} if groups else None
    for _ in range(count):
        chances = np.broadcast_to(rng.beta(0.5, 0.5, size), (models, size))
        if groups:
            own = rng.normal(0, 0.2, (models, groups))[:, np.arange(size) % groups]
            chances = np.clip(rng.beta(2, 2, size) + own, 0, 1)
        values = (rng.binomial(n, chances) / n).tolist()
        found = ranks({str(m): dict(enumerate(row)) for m, row in enumerate(values)}, labels)
        several.append(len(set(found.values())) > 1)
    return several


def measure(draws: int = 300) -> Results:
    found = {"draws": draws, "problems": of_problems(draws), "clusters": of_clusters(draws), "shares": of_shares()}
    return found | {"others": of_others(draws), "differences": of_differences(draws), "boards": of_boards(draws)}


def least_and_mean(values: Sequence[float]) -> str:
    return f"{100 * min(values):.1f} / {100 * float(np.mean(values)):.1f}"


def mean_and_most(values: Sequence[float]) -> str:
    return f"{100 * float(np.mean(values)):.1f} / {100 * max(values):.1f}"


def render(found: Results) -> str:
    of = {name: [row["covered"] for row in found[name]] for name in ("problems", "clusters")}
    both = [*of["problems"], *of["clusters"]]
    worst, boards = max(row["false"] for row in found["differences"]), max(row["several"] for row in found["boards"])
    others = {"share of independent trials": found["shares"]} | found["others"]
    boards_of = [row | {"kind": _board(row)} for row in found["boards"]]
    lines = [
        f"A 95 % interval of Pass@k holds the true mean in at least {100 * min(both):.1f} % of draws in each of "
        f"{len(both)} simulated cases, in {100 * float(np.mean(both)):.1f} % on average. Two equal models differ in at "
        f"most {100 * worst:.1f} % of draws, and of boards of up to {MODELS[-1]} equal models at most "
        f"{100 * boards:.1f} % show several ranks.",
        f"Every case is drawn {found['draws']:,} times. One with less than 94.5 % (or more than 4.5 % of errors) is "
        "drawn again ten times as often, and only that counts. The mean is "
        f"{100 * float(np.mean(of['problems'])):.1f} % over problems and {100 * float(np.mean(of['clusters'])):.1f} % "
        "over clusters. How intervals and p-values are computed stands in "
        "`eval/measure/statistics.py`, ranks in `eval/measure/compare.py`.",
        "## Pass@k over problems",
        "Least coverage and mean coverage, in %. True means are .03 to .97; Pass@1 of 1, 16 and 64 samples and Pass@16 "
        "of 16 and 64. Few problems that are all alike give intervals that are too wide: ten problems do not show "
        "whether there are rare exceptions among those that were not drawn.",
        grid("difficulty, problems", _with_all(found["problems"])),
        "## Pass@k over clusters",
        "Problems of one cluster share nothing, little, half or all of their difficulty; clusters have 10 problems "
        "each, or 2 to 40. Fewer than three clusters have no interval.",
        grid("difficulty, clusters", _with_all(found["clusters"])),
        "## Other figures",
        "Shares of independent trials are computed exactly, the others drawn. Numbers without a "
        "bound are taken to reach twice the largest at hand.",
        grid("figure, units", [row | {"kind": name} for name, rows in others.items() for row in rows]),
        "## Two equal models",
        "Draws in which p < 0.05, in %: mean and largest of all cases. Over one or two units a difference is refused.",
        grid(
            "over",
            found["differences"],
            lambda v: f"{100 * float(np.mean(v)):.1f} / {100 * max(v):.1f}",
            "over",
            "false",
        ),
        "## Boards of equal models",
        "Boards that show more than one rank, in %.",
        grid("board", boards_of, lambda v: f"{100 * v[0]:.1f}", "kind", "several", "models", " models"),
    ]
    return "\n\n".join(lines)


def grid(
    head: str,
    rows: Sequence[Row],
    show: Callable[[list[float]], str] = least_and_mean,
    name: str = "kind",
    value: str = "covered",
    column: str = "size",
    unit: str = "",
) -> str:
    """A line for each name and a column for each size, with what is to be shown of the values of such rows."""
    columns, cells = sorted({row[column] for row in rows}), defaultdict(list)
    for row in rows:
        cells[row[name], row[column]].append(row[value])
    names = dict.fromkeys(row[name] for row in rows)
    body = [[one, *(show(cells[one, at]) if (one, at) in cells else "–" for at in columns)] for one in names]
    return table([head, *(f"{at}{unit}" for at in columns)], body)


def _with_all(rows: Sequence[Row]) -> list[Row]:
    return [*rows, *(row | {"kind": "every case"} for row in rows)]


def _board(row: Row) -> str:
    clusters = f", {row['clusters']} clusters" if row["clusters"] else ""
    return f"{row['size']} problems, {row['n']} sample{'s' * (row['n'] > 1)}{clusters}"


PAGE = Page("intervals", "Intervals and ranks", render, [SEED])

if __name__ == "__main__":
    bench(PAGE, measure)
