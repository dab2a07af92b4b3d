"""When two query results are the same."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count, groupby
from operator import itemgetter
from typing import Literal, get_args

from .sqlite_guard import Cell, Table

Semantics = Literal["spider", "bird", "set", "bag", "ordered"]
SEMANTICS: tuple[Semantics, ...] = get_args(Semantics)
BENCHMARKS: tuple[Semantics, ...] = ("spider", "bird")
DISTINCT: tuple[Semantics, ...] = ("bird", "set")  # these never look at how often a row comes

Row = tuple[Cell, ...]
Same = Callable[[list[Row], list[Row]], bool]

# Wide enough for sums taken in another order, far too narrow for a rounded value to pass for the exact one.
_RELATIVE, _ABSOLUTE = 1e-9, 1e-12
_MOST_TRIES = 10_000  # columns tried while looking for a permutation; reached only by results made for it


@dataclass(frozen=True)
class Ranking:
    """All rows that a gold query with ORDER BY chooses from, before LIMIT and OFFSET.

    Attributes:
        rows: In gold order, each with its rank as the last cell; rows of one rank have equal sort keys.
        offset: The query's OFFSET.
    """

    rows: list[Row]
    offset: int

    def allows(self, rows: list[Row]) -> bool:
        """Whether a result with as many rows as the gold query's is a window of these rows in one of their orders.

        Rows of one rank may come in any order, and where LIMIT or OFFSET cuts through a rank any of its rows will do.
        Only as many columns are looked at as the result has.
        """
        width = len(rows[0]) if rows else 0
        first, end, start = self.offset, self.offset + len(rows), 0
        for _, group in groupby(self.rows, key=itemgetter(-1)):
            ours = [row[:width] for row in group]
            theirs = rows[max(start - first, 0) : max(min(start + len(ours), end) - first, 0)]
            whole = len(ours) == len(theirs)
            if not (_same_bag(ours, theirs) if whole else Counter(theirs) <= Counter(ours)):
                return False
            start += len(ours)
        return end <= start


def same_result(
    gold: Table,
    predicted: Table,
    semantics: Semantics,
    *,
    permute_columns: bool = False,
    listed: bool = False,
    ranking: Ranking | None = None,
) -> bool:
    """Whether two results are equal.

    - `spider`: as lists if `listed` (gold has ORDER BY), else as bags, under one permutation of the predicted columns.
    - `bird`: as sets of rows.
    - `set` ignores order and repetition, `bag` ignores order, `ordered` ignores only the order of rows with equal
      sort keys, as far as a `ranking` tells them. The order of columns matters unless `permute_columns`.

    Everywhere 1 equals 1.0, NULL equals NULL, and text and numbers are never equal. The benchmarks compare floats
    exactly; the other three to a relative 1e-9, since sums may be taken in another order.
    """
    if semantics == "bird":
        return set(gold.rows) == set(predicted.rows)
    if semantics == "spider":
        return _same_in_spider(gold.rows, predicted.rows, listed)
    if gold.columns != predicted.columns:
        return False

    def same_order(ours: list[Row], theirs: list[Row]) -> bool:
        ties = ranking is not None and len(ours) == len(theirs) and ranking.allows(theirs)
        return ties or _same_list(ours, theirs)

    same: Same = {"set": _same_set, "bag": _same_bag, "ordered": same_order}[semantics]
    return same(gold.rows, predicted.rows) or (permute_columns and _same_permuted(gold.rows, predicted.rows, same))


def _same_in_spider(gold: list[Row], predicted: list[Row], listed: bool) -> bool:
    """Spider's test-suite rule (github.com/taoyds/test-suite-sql-eval) on one database."""
    if not gold and not predicted:
        return True
    if len(gold) != len(predicted) or len(gold[0]) != len(predicted[0]):
        return False
    gold, predicted = _readable(gold), _readable(predicted)
    # The script first compares rows with their cells sorted as text, which can tell 1 from 1.0 beside a fraction.
    left, right = (
        [tuple(sorted(row, key=lambda cell: f"{cell!s}{type(cell)}")) for row in rows] for rows in (gold, predicted)
    )
    if left != right if listed else set(left) != set(right):
        return False
    return _same_permuted(gold, predicted, list.__eq__ if listed else lambda a, b: Counter(a) == Counter(b))


def _readable(rows: list[Row]) -> list[Row]:
    """Text without the bytes that are not UTF-8, as the script reads it."""

    def readable(cell: Cell) -> Cell:
        known = not isinstance(cell, str) or cell.isascii()
        return cell if known else str(cell).encode("utf-8", "surrogateescape").decode("utf-8", "ignore")

    return [tuple(map(readable, row)) for row in rows]


def _same_permuted(gold: list[Row], predicted: list[Row], same: Same) -> bool:
    """Whether one permutation of the predicted columns makes the results `same`.

    Found column by column: what is not the same in the first columns cannot become so.
    """
    if not gold or not predicted or same(gold, predicted):
        return bool(gold) == bool(predicted)
    left, right = list(zip(*gold, strict=True)), list(zip(*predicted, strict=True))
    tries = count()

    def extend(order: list[int]) -> bool:
        if len(order) == len(left):
            return True
        tried = []
        for column in range(len(right)):
            if column in order or right[column] in tried or next(tries) > _MOST_TRIES:
                continue
            tried.append(right[column])
            longer = [*order, column]
            ours = list(zip(*left[: len(longer)], strict=True))
            if same(ours, list(zip(*(right[i] for i in longer), strict=True))) and extend(longer):
                return True
        return False

    return len(left) == len(right) and extend([])


def _same_list(gold: Sequence[Row], predicted: Sequence[Row]) -> bool:
    if gold == predicted or len(gold) != len(predicted):
        return gold == predicted
    return all(_close(a, b) for pair in zip(gold, predicted, strict=True) for a, b in zip(*pair, strict=True))


def _same_bag(gold: list[Row], predicted: list[Row]) -> bool:
    return len(gold) == len(predicted) and (
        Counter(gold) == Counter(predicted) or _close_unordered(gold, predicted, distinct=False)
    )


def _same_set(gold: list[Row], predicted: list[Row]) -> bool:
    gold, predicted = list(dict.fromkeys(gold)), list(dict.fromkeys(predicted))
    return set(gold) == set(predicted) or _close_unordered(gold, predicted, distinct=True)


def _close(a: Cell, b: Cell) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
    return a == b


def _close_unordered(gold: list[Row], predicted: list[Row], distinct: bool) -> bool:
    """Compare rows in the order of their floats at seven digits, where rounding noise of 1e-9 almost never shows."""
    floats = {column for row in (*gold, *predicted) for column, cell in enumerate(row) if isinstance(cell, float)}
    if not floats:
        return False
    left, right = _by_rounded(gold, floats, distinct), _by_rounded(predicted, floats, distinct)
    return left.keys() == right.keys() and all(_same_list(left[key], right[key]) for key in left)


def _by_rounded(rows: Iterable[Row], floats: set[int], distinct: bool) -> dict[Row, list[Row]]:
    groups: dict[Row, list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(_rounded(cell) if i in floats else cell for i, cell in enumerate(row))].append(row)
    return {key: group[:1] if distinct else sorted(group, key=repr) for key, group in groups.items()}


def _rounded(cell: Cell) -> Cell:
    if not isinstance(cell, int | float):
        return cell
    return 0.0 if abs(cell) < _ABSOLUTE else float(f"{cell:.6e}")
