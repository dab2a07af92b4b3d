"""Why a request has its verdicts: the rows that witness each substitution, or what is missing, in names and row ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property

from ..coverage.explain import Attempt, Explainer
from ..coverage.observations import Subset
from .components import Component
from .routes import Router
from .slot_analysis import Analysis
from .statuses import STATUSES, WEAK


@dataclass(frozen=True)
class Step:
    """One substitution.

    Attributes:
        change: By slot, the request's value and the one put in its place.
        evidence: Contexts that speak for it.
        against: Contexts that speak against it; only with noise allowed.
        witnesses: Pairs of row ids, equal but for the change, with equal outputs.
    """

    change: dict[str, tuple[str, str]]
    evidence: int
    against: int
    witnesses: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Reason:
    """Why one output of a request has its status.

    Attributes:
        output: Name.
        status: Of this output.
        follows: The output that follows, None if none does.
        own: The request's own output, None where it has none.
        evidence: Contexts behind it.
        k: What was asked for.
        values: The request's values of the slots that count.
        steps: Substitutions on the way to the row.
        rows: Ids of training rows at the end of the way; of a seen request, rows with its values.
        missing: What would be needed, in words, best first.
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
    missing: tuple[str, ...] = field(default_factory=tuple)


def reasons(found: Analysis, request: int) -> list[Reason]:
    """Explain every output of a request, by its index in the test table."""
    return [Reasons(found, place)(request) for place in range(len(found.components))]


class Reasons:
    """Explains one output of any number of requests; what that takes is made once, when it is first needed."""

    def __init__(self, found: Analysis, place: int) -> None:
        """Take an analysis and the index of one of its outputs."""
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
        steps, rows, missing = self._way(query, status)
        return Reason(
            output=component.name,
            status=STATUSES[status],
            follows=known[label] if label >= 0 else None,
            own=known[own] if own >= 0 else None,
            evidence=int(verdicts.evidence[request]),
            k=component.k,
            values=self._named(range(len(component.slots)), query),
            steps=steps,
            rows=rows,
            missing=missing,
        )

    def _way(self, query: tuple[int, ...], status: int) -> tuple[tuple[Step, ...], tuple[str, ...], tuple[str, ...]]:
        component = self.component
        observed = component.place.get(query)
        if observed is not None:
            clear = not component.settled.unclear[observed]
            return (), self._ids(observed), () if clear else (self._contradiction(observed),)
        unseen = component.unseen(query)
        if unseen:
            return (), (), tuple(f"no training row has {self._said(part, query)}" for part in unseen)
        if not component.subsets:
            return (), (), ("fewer than two slots count, so nothing can stand in for these values",)
        return self._noisy(query) if component.agreement is not None else self._strict(query, status)

    def _strict(self, query: tuple[int, ...], status: int) -> tuple[tuple[Step, ...], tuple[str, ...], tuple[str, ...]]:
        made = self._explainer(1 if status == WEAK else self.component.k)(query)
        steps = tuple(
            self._step(step.subset, step.source, step.target, step.evidence, 0, step.witnesses) for step in made.steps
        )
        missing = tuple(self._attempt(attempt) for attempt in made.missing[:3])
        return steps, self._ids(made.row) if made.row is not None else (), missing

    def _noisy(self, query: tuple[int, ...]) -> tuple[tuple[Step, ...], tuple[str, ...], tuple[str, ...]]:
        routes = self._router.routes(query)
        if not routes:
            return (), (), ("nothing that was seen in its place behaves like any of its values",)
        best = routes[0]
        witnesses = self._router.witnesses(best)
        step = self._step(best.subset, best.source, best.target, best.agree, best.disagree, witnesses)
        others = {route.label for route in routes} - {best.label}
        known = self.found.train.codes.outputs[self.component.output]
        missing = tuple(f"other rows lead to {known[label]}" for label in sorted(others)[:3])
        return (step,), self._ids(best.landing), missing

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
        subset, fragment = attempt.subset, attempt.fragment
        said = " and ".join(f"{name} = {value}" for name, value in self._named(subset, fragment).items())
        if not attempt.seen:
            return f"no training row has {said}"
        if attempt.target is None:
            return f"nothing stands in the place of {said} in a training row that is equal otherwise"
        other = " and ".join(f"{name} = {value}" for name, value in self._named(subset, attempt.target).items())
        agree, disagree = attempt.agree, attempt.disagree
        return f"{said} and {other} share {agree + disagree} contexts: {agree} with equal outputs, {disagree} unequal"

    def _contradiction(self, observed: int) -> str:
        rows = self.component.settled.rows[observed]
        codes = self.found.train.outputs[self.component.rows[list(rows)], self.component.output]
        known = self.found.train.codes.outputs[self.component.output]
        shown = ", ".join(sorted({known[code] for code in codes.tolist()})[:4])
        return f"training rows with these values have different outputs: {shown}"

    def _named(self, subset: Sequence[int], values: Sequence[int]) -> dict[str, str]:
        schema, codes = self.found.train.schema, self.found.train.codes
        slots = [self.component.slots[i] for i in subset]
        return {schema.slots[slot].name: codes.slots[slot][v] for slot, v in zip(slots, values, strict=False)}

    def _said(self, part: Subset, query: Sequence[int]) -> str:
        return " and ".join(f"{n} = {v}" for n, v in self._named(part, [query[i] for i in part]).items())

    def _ids(self, observed: int) -> tuple[str, ...]:
        rows = self.component.rows[list(self.component.settled.rows[observed][:3])]
        return tuple(self.found.train.ids[row] for row in rows)
