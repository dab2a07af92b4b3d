"""When two query results are the same."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Literal, get_args

from .sqlite_guard import Cell, Table

Semantics = Literal["set", "bag", "ordered"]
SEMANTICS: tuple[Semantics, ...] = get_args(Semantics)

Row = tuple[Cell, ...]

# Wide enough for sums taken in another order, far too narrow for a rounded value to pass for the exact one.
_RELATIVE, _ABSOLUTE = 1e-9, 1e-12
_MOST_ORDERS = 1_000  # permutations of columns with equal values; a table of equal columns has n! of them


def same_result(gold: Table, predicted: Table, semantics: Semantics, permute_columns: bool = False) -> bool:
    """Whether two results are equal.

    `set` ignores order and repetition (BIRD's execution accuracy), `bag` ignores order (Spider's test
    suite), `ordered` ignores nothing. The order of columns matters unless `permute_columns`, which looks
    for one permutation of the predicted columns for all rows, as Spider's test suite does. 1 equals 1.0,
    floats are compared to a relative 1e-9, NULL equals NULL, text and numbers are never equal.
    """
    if gold.columns != predicted.columns:
        return False
    orders = _column_orders(gold, predicted, semantics) if permute_columns else iter([range(gold.columns)])
    identity = list(range(gold.columns))
    for order in islice(orders, _MOST_ORDERS):
        rows = predicted.rows
        if list(order) != identity:
            rows = [tuple(row[column] for column in order) for row in rows]
        if _same_rows(gold.rows, rows, semantics):
            return True
    return False


def _same_rows(gold: list[Row], predicted: list[Row], semantics: Semantics) -> bool:
    if semantics == "ordered":
        return gold == predicted or _close_rows(gold, predicted)
    if semantics == "set":
        gold, predicted = list(dict.fromkeys(gold)), list(dict.fromkeys(predicted))
        exact = set(gold) == set(predicted)
    else:
        exact = len(gold) == len(predicted) and Counter(gold) == Counter(predicted)
    return exact or _close_unordered(gold, predicted, semantics == "set")


def _close_rows(gold: Sequence[Row], predicted: Sequence[Row]) -> bool:
    return len(gold) == len(predicted) and all(
        _close(a, b) for left, right in zip(gold, predicted, strict=True) for a, b in zip(left, right, strict=True)
    )


def _close(a: Cell, b: Cell) -> bool:
    if isinstance(a, int | float) and isinstance(b, int | float):
        return math.isclose(a, b, rel_tol=_RELATIVE, abs_tol=_ABSOLUTE)
    return a == b


def _close_unordered(gold: list[Row], predicted: list[Row], distinct: bool) -> bool:
    """Pair rows that agree but for rounding noise in columns that hold floats.

    Rows are put in order by their values at seven digits, where noise of 1e-9 almost never shows, and then
    compared.
    """
    floats = {column for row in (*gold, *predicted) for column, cell in enumerate(row) if isinstance(cell, float)}
    if not floats or (not distinct and len(gold) != len(predicted)):
        return False
    left, right = _by_rounded(gold, floats, distinct), _by_rounded(predicted, floats, distinct)
    return left.keys() == right.keys() and all(_close_rows(left[key], right[key]) for key in left)


def _by_rounded(rows: Iterable[Row], floats: set[int], distinct: bool) -> dict[Row, list[Row]]:
    groups: dict[Row, list[Row]] = defaultdict(list)
    for row in rows:
        groups[tuple(_rounded(cell) if i in floats else cell for i, cell in enumerate(row))].append(row)
    return {key: group[:1] if distinct else sorted(group, key=repr) for key, group in groups.items()}


def _rounded(cell: Cell) -> Cell:
    if not isinstance(cell, int | float):
        return cell
    return 0.0 if abs(cell) < _ABSOLUTE else float(f"{cell:.6e}")


def _column_orders(gold: Table, predicted: Table, semantics: Semantics) -> Iterator[list[int]]:
    """Permutations of the predicted columns in which every column holds the values of its gold column."""
    fits = [
        [j for j in range(gold.columns) if _same_rows(_column(gold, i), _column(predicted, j), semantics)]
        for i in range(gold.columns)
    ]

    def extend(order: list[int]) -> Iterator[list[int]]:
        if len(order) == gold.columns:
            yield order
            return
        for column in fits[len(order)]:
            if column not in order:
                yield from extend([*order, column])

    return extend([])


def _column(table: Table, index: int) -> list[Row]:
    return [(row[index],) for row in table.rows]
