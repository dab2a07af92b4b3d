"""The tables that a composition is made of: random ones, and ones with a property that a model could use instead.

Random tables leave a learner nothing but equivalent fragments. The others test the rest of the taxonomy of
arXiv 2505.20278: one operator at several places (`same_f12`), and an algebraic property (`modular_addition`,
`symmetric`, `ignored_argument`), by which a model can be right beyond what its data covers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from .families import Family

Table = NDArray[np.int64]


def _random(rng: np.random.Generator, arity: int, values: int, first: bool) -> Table:
    return rng.integers(values, size=values**arity)


def _modular_addition(rng: np.random.Generator, arity: int, values: int, first: bool) -> Table:
    return np.indices((values,) * arity).sum(axis=0).ravel() % values


def _symmetric(rng: np.random.Generator, arity: int, values: int, first: bool) -> Table:
    """The order of the arguments does not matter: every order reads the entry of the sorted one."""
    arguments = np.sort(np.indices((values,) * arity).reshape(arity, -1), axis=0)
    return rng.integers(values, size=values**arity)[np.ravel_multi_index(tuple(arguments), (values,) * arity)]


def _ignored_argument(rng: np.random.Generator, arity: int, values: int, first: bool) -> Table:
    """The first table does not depend on its last argument; were it every table, no composition would be left."""
    return (
        np.repeat(rng.integers(values, size=values ** (arity - 1)), values)
        if first
        else _random(rng, arity, values, first)
    )


KINDS: dict[str, Callable[[np.random.Generator, int, int, bool], Table]] = {
    "random": _random,
    "same_f12": _random,
    "modular_addition": _modular_addition,
    "symmetric": _symmetric,
    "ignored_argument": _ignored_argument,
}


def make_tables(family: Family, values: int, kind: str, rng: np.random.Generator) -> tuple[Table, ...]:
    """One flat table `[values ** arity]` for each hop of a family.

    `same_f12` uses the first table at every hop; which of its entries count as known is drawn for each hop, so that an
    entry seen only at another hop shows whether the operator is shared.

    Raises:
        ValueError: The kind is unknown, or `same_f12` on tables of different numbers of arguments.
    """
    if kind not in KINDS:
        raise ValueError(f"tables · found {kind!r} · one of {', '.join(KINDS)}")
    arities = [len(arguments) for arguments in family.hops]
    if kind == "same_f12":
        if len(set(arities)) > 1:
            raise ValueError(
                f"tables · same_f12 of {family.name}, whose tables take {arities} arguments · a family of equal ones"
            )
        return (_random(rng, arities[0], values, True),) * len(arities)
    return tuple(KINDS[kind](rng, arity, values, number == 0) for number, arity in enumerate(arities))


def table_hashes(tables: Sequence[Table]) -> list[str]:
    """SHA-256 of each table as little-endian 64-bit integers, so that two data sets can be told apart."""
    return [hashlib.sha256(np.ascontiguousarray(table, dtype="<i8").tobytes()).hexdigest() for table in tables]
