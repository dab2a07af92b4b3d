"""Verdicts of training rows on requests: on every output, and the worst of each request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..coverage.observations import IntArray
from .components import Component, components
from .read.slot_rows import NO_OUTPUT, Placed, Table, load, read_tables
from .read.slot_schema import ProbeError, load_schema, schema_path
from .statuses import DETERMINED, SEEN, STATUSES, SWEEP, Verdicts, judge


@dataclass(frozen=True)
class Analysis:
    """Training rows and requests, with the component and the verdicts on the requests of each output."""

    train: Table
    test: Table
    components: tuple[Component, ...]
    verdicts: tuple[Verdicts, ...]

    @cached_property
    def statuses(self) -> IntArray:
        """[requests, outputs] index into `STATUSES`, -1 where the request is known to lack the output."""
        status = np.stack([verdicts.status for verdicts in self.verdicts], axis=1)
        return np.where(self.test.outputs == NO_OUTPUT, -1, status)

    @cached_property
    def worst(self) -> IntArray:
        """[requests] the worst status of a request's outputs."""
        return np.maximum(self.statuses.max(axis=1), SEEN)

    @cached_property
    def cutoffs(self) -> IntArray:
        """[requests] smallest k-cutoff of a request's outputs."""
        return self.smallest("cutoffs")

    @cached_property
    def evidence(self) -> IntArray:
        """[requests] smallest evidence of a request's outputs; 0 where one has none."""
        return self.smallest("evidence")

    def smallest(self, name: str) -> IntArray:
        """[requests] smallest value of a field of `Verdicts`, over the outputs that a request has."""
        values = np.stack([getattr(verdicts, name) for verdicts in self.verdicts], axis=1)
        return np.where(self.statuses < 0, SWEEP, values).min(axis=1)

    @property
    def determined_share(self) -> float:
        """Share of the requests whose every output is seen or determined."""
        return float((self.worst <= DETERMINED).mean())

    def counts(self, output: int | None = None) -> dict[str, int]:
        """Requests by status, of one output or by the worst of all."""
        status = self.worst if output is None else self.statuses[:, output]
        return {name: int((status == place).sum()) for place, name in enumerate(STATUSES)}

    def right(self, output: int) -> dict[str, tuple[int, int]]:
        """By status, how many of the outputs that follow are the request's own, and how many follow."""
        verdicts, wanted = self.verdicts[output], self.test.outputs[:, output]
        found = {}
        for place, name in enumerate(STATUSES):
            rows = (verdicts.status == place) & (verdicts.labels >= 0) & (wanted >= 0)
            if rows.any():
                found[name] = (int((verdicts.labels[rows] == wanted[rows]).sum()), int(rows.sum()))
        return found

    def grown(self, placed: Sequence[Placed], inputs: IntArray, outputs: IntArray) -> Analysis:
        """The analysis with more training rows, with relevant slots and k unchanged."""
        old = self.train
        more = (np.concatenate([old.inputs, inputs]), np.concatenate([old.outputs, outputs]))
        train = Table(old.schema, old.codes, (*old.placed, *placed), *more, (*old.texts, *("" for _ in placed)))
        return _analysis(train, self.test, components(train, like=self.components))

    @property
    def notes(self) -> list[str]:
        """Warnings about the figures."""
        found = []
        for component in self.components:
            if component.warning:
                found.append(f"{component.name}: {component.warning}")
            capped = [subset for subset, pairs in component.pairs.items() if pairs.capped]
            if capped:
                found.append(f"{component.name}: pairs of {len(capped)} subsets were capped; evidence is a lower bound")
        return found


def analyse(train: Table, test: Table, k: int | None = None, agreement: float | None = None) -> Analysis:
    """Judge every request of `test` by the rows of `train`, read together; `k` and `agreement` as in `components`."""
    return _analysis(train, test, components(train, k, agreement))


def _analysis(train: Table, test: Table, parts: Sequence[Component]) -> Analysis:
    return Analysis(train, test, tuple(parts), tuple(judge(part, test.inputs) for part in parts))


def read_sets(
    train: str, schema: str, test: str | None = None, pool: str | None = None, holdout: float = 0.2, seed: int = 0
) -> tuple[Table, Table, Table | None]:
    """Training rows, requests and a pool of rows that may be added, as tables with shared codes.

    Each is a file or source, see `slot_rows.load`; the schema is a file or the name of a shipped one. Without `test`,
    the share `holdout` of the training rows is held out.

    Raises:
        ProbeError: One of them cannot be read.
    """
    read, rows = load_schema(schema), load(train)
    rows, requests = (rows, load(test)) if test is not None else _held_out(rows, holdout, seed)
    more = [load(pool)] if pool is not None else []
    first, second, *others = read_tables(read, rows, requests, *more, file=str(schema_path(schema)), requests=1)
    return first, second, others[0] if others else None


def read_joined(train: str, schema: str, tests: Sequence[str]) -> tuple[Table, Table]:
    """Training rows, and the requests of several files or sources as one table."""
    requests = [item for test in tests for item in load(test)]
    first, second = read_tables(load_schema(schema), load(train), requests, file=str(schema_path(schema)), requests=1)
    return first, second


def _held_out(rows: Sequence[Placed], holdout: float, seed: int) -> tuple[list[Placed], list[Placed]]:
    cut = round(holdout * len(rows))
    if not 0 < cut < len(rows):
        raise ProbeError(f"holdout · found {holdout} of {len(rows)} rows · give a share that leaves rows on both sides")
    order = np.random.default_rng(seed).permutation(len(rows))
    held = set(order[:cut].tolist())
    return [r for i, r in enumerate(rows) if i not in held], [r for i, r in enumerate(rows) if i in held]
