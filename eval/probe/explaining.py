"""Why a request has its verdicts, in names and row ids: rows that witness each substitution, or what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from ..coverage.explain import Attempt, Explainer
from ..coverage.observations import Subset
from .components import Component
from .routes import Router
from .slot_analysis import Analysis
from .statuses import STATUSES, WEAK


@dataclass(frozen=True)
class Step:
    """One substitution: by slot, the request's value and the one that replaces it.

    Attributes:
        against: Contexts in which the outputs disagree; only where noise is allowed.
        witnesses: Pairs of row ids that differ only in the change and have equal outputs.
    """

    change: dict[str, tuple[str, str]]
    evidence: int
    against: int
    witnesses: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Reason:
    """Why one output of a request has its status.

    Attributes:
        follows: The output that follows, None if none does.
        own: The request's own output, None where it has none.
        evidence: Contexts that support the output that follows.
        k: Required evidence.
        steps: Substitutions that lead to a training row.
        rows: Ids of training rows that the steps lead to; of a seen request, rows with its values.
        missing: What is missing, in words, best first.
    """

    output: str
    status: str
    follows: str | None
    own: str | None
    evidence: int
    k: int
    values: dict[str, str]
    steps: tuple[Step, ...] = ()
    rows: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


Way = tuple[tuple[Step, ...], tuple[str, ...], tuple[str, ...]]
"""Steps, rows and what is missing of a `Reason`."""


class Reasons:
    """Explains one output, given by its index, of any number of requests; costly parts are made once, on first use."""

    def __init__(self, found: Analysis, place: int) -> None:
        self.found, self.place = found, place
        self.component: Component = found.components[place]
        self._explainer = cache(self._new_explainer)

    def _new_explainer(self, k: int) -> Explainer:
        component = self.component
        return Explainer(component.settled.observations, k, subsets=component.subsets, pairs=component.pairs)

    @cached_property
    def _router(self) -> Router:
        return Router(self.component)

    def __call__(self, request: int) -> Reason:
        """Explain one request, by its index in the test table."""
        found, component, verdicts = self.found, self.component, self.found.verdicts[self.place]
        query = tuple(component.project(found.test.inputs[request : request + 1])[0].tolist())
        status, label = int(verdicts.status[request]), int(verdicts.labels[request])
        known = found.train.codes.outputs[component.output]
        own = int(found.test.outputs[request, component.output])
        return Reason(
            component.name,
            STATUSES[status],
            known[label] if label >= 0 else None,
            known[own] if own >= 0 else None,
            int(verdicts.evidence[request]),
            component.k,
            self._named(range(len(component.slots)), query),
            *self._way(query, status),
        )

    def _way(self, query: tuple[int, ...], status: int) -> Way:
        component = self.component
        observed = component.place.get(query)
        if observed is not None:
            clear = not component.settled.unclear[observed]
            return (), self._ids(observed), () if clear else (self._contradiction(observed),)
        unseen = component.unseen(query)
        if unseen:
            return (), (), tuple(f"no training row has {self._said(part, [query[i] for i in part])}" for part in unseen)
        if not component.subsets:
            return (), (), ("fewer than two slots are relevant, so nothing can replace these values",)
        return self._noisy(query) if component.agreement is not None else self._strict(query, status)

    def _strict(self, query: tuple[int, ...], status: int) -> Way:
        made = self._explainer(1 if status == WEAK else self.component.k)(query)
        steps = (self._step(s.subset, s.source, s.target, s.evidence, 0, s.witnesses) for s in made.steps)
        missing = tuple(self._attempt(attempt) for attempt in made.missing[:3])
        return tuple(steps), self._ids(made.row) if made.row is not None else (), missing

    def _noisy(self, query: tuple[int, ...]) -> Way:
        routes = self._router.routes(query)
        if not routes:
            return (), (), ("no training row can be reached by one substitution of equivalent values",)
        best = routes[0]
        witnesses = self._router.witnesses(best)
        step = self._step(best.subset, best.source, best.target, best.agree, best.disagree, witnesses)
        others = sorted({route.label for route in routes} - {best.label})[:3]
        known = self.found.train.codes.outputs[self.component.output]
        return (step,), self._ids(best.landing), tuple(f"other rows lead to {known[label]}" for label in others)

    def _step(
        self,
        subset: Subset,
        source: Sequence[int],
        target: Sequence[int],
        evidence: int,
        against: int,
        witnesses: Sequence[tuple[int, int]],
    ) -> Step:
        before, after = self._named(subset, source), self._named(subset, target)
        change = {name: (before[name], after[name]) for name in before if before[name] != after[name]}
        pairs = tuple((self._ids(left)[0], self._ids(right)[0]) for left, right in witnesses[:3])
        return Step(change, evidence, against, pairs)

    def _attempt(self, attempt: Attempt) -> str:
        said = self._said(attempt.subset, attempt.fragment)
        if not attempt.seen:
            return f"no training row has {said}"
        if attempt.target is None:
            return f"no training row that is otherwise equal has values that behave like {said}"
        other, agree, disagree = self._said(attempt.subset, attempt.target), attempt.agree, attempt.disagree
        return f"{said} and {other} share {agree + disagree} contexts: {agree} with equal outputs, {disagree} unequal"

    def _contradiction(self, observed: int) -> str:
        rows = self.component.rows[list(self.component.settled.rows[observed])]
        known = self.found.train.codes.outputs[self.component.output]
        codes = self.found.train.outputs[rows, self.component.output].tolist()
        shown = ", ".join(sorted({known[code] for code in codes})[:4])
        return f"training rows with these values have different outputs: {shown}"

    def _named(self, subset: Sequence[int], values: Sequence[int]) -> dict[str, str]:
        schema, codes = self.found.train.schema, self.found.train.codes
        slots = [self.component.slots[i] for i in subset]
        return {schema.slots[slot].name: codes.slots[slot][v] for slot, v in zip(slots, values, strict=False)}

    def _said(self, subset: Subset, values: Sequence[int]) -> str:
        return " and ".join(f"{name} = {value}" for name, value in self._named(subset, values).items())

    def _ids(self, observed: int) -> tuple[str, ...]:
        rows = self.component.rows[list(self.component.settled.rows[observed][:3])]
        return tuple(self.found.train.ids[row] for row in rows)
