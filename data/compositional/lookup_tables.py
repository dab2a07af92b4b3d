"""The tables that a composition is made of: random ones, and ones with a property that a model could use instead.

Random tables leave a learner nothing but equivalent fragments. The others test the rest of the taxonomy of
arXiv 2505.20278: one operator used in several places (`same_f12`), and algebraic properties (`modular_addition`,
`symmetric`, `ignored_argument`), which let a model be right beyond what its data covers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .families import Family, Ints


class CompositionError(ValueError):
    """A data set that cannot be made with these settings."""


def _random(rng: np.random.Generator, arity: int, values: int, first: bool) -> Ints:
    return rng.integers(values, size=values**arity)


def _symmetric(rng: np.random.Generator, arity: int, values: int, first: bool) -> Ints:
    """Every order of the arguments reads the entry of the sorted order."""
    arguments = np.sort(np.indices((values,) * arity).reshape(arity, -1), axis=0)
    return _random(rng, arity, values, first)[np.ravel_multi_index(tuple(arguments), (values,) * arity)]


def _ignored_argument(rng: np.random.Generator, arity: int, values: int, first: bool) -> Ints:
    """Only the first table ignores its last argument; if all did, no composition would be left."""
    return np.repeat(_random(rng, arity - 1, values, first), values) if first else _random(rng, arity, values, first)


KINDS: dict[str, Callable[[np.random.Generator, int, int, bool], Ints]] = {
    "random": _random,
    "same_f12": _random,
    "modular_addition": lambda rng, arity, values, first: np.indices((values,) * arity).sum(axis=0).ravel() % values,
    "symmetric": _symmetric,
    "ignored_argument": _ignored_argument,
}


def make_tables(family: Family, values: int, kind: str, rng: np.random.Generator) -> tuple[Ints, ...]:
    """One flat table `[values ** arity]` for each hop of a family.

    `same_f12` uses the first table at every hop. Which of its entries training may use is drawn for each hop, so that
    an entry seen only at another hop shows whether the model shares the operator.

    Raises:
        CompositionError: The kind is unknown, or `same_f12` is given tables of different arities.
    """
    if kind not in KINDS:
        raise CompositionError(f"tables · found {kind!r} · one of {', '.join(KINDS)}")
    arities = [len(arguments) for arguments in family.hops]
    if kind == "same_f12":
        if len(set(arities)) > 1:
            raise CompositionError(
                f"tables · same_f12 of {family.name}, whose tables take {arities} arguments · a family of equal ones"
            )
        return (_random(rng, arities[0], values, True),) * len(arities)
    return tuple(KINDS[kind](rng, arity, values, hop == 0) for hop, arity in enumerate(arities))
