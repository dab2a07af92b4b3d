"""The verdict on each output of each request: what follows from the training rows, and with how much evidence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..coverage.closure import k_cutoffs
from ..coverage.determined import Determined, determine
from ..coverage.observations import IntArray
from .components import Component
from .routes import Router, voted

STATUSES = ("seen", "determined", "weak", "ambiguous", "uncovered", "new-primitive")
"""From best to worst; a request has the worst status of its outputs.

- `seen`: one training row has all the relevant values.
- `determined`: one output follows, by substitutions with evidence of at least k.
- `weak`: one output follows, with less evidence.
- `ambiguous`: different outputs follow, or training rows contradict each other.
- `uncovered`: no output follows.
- `new-primitive`: no training row has a value (or a declared fragment), so none can be evidence for it.
"""

SEEN, DETERMINED, WEAK, AMBIGUOUS, UNCOVERED, NEW = range(6)
SWEEP = 64
"""Largest k-cutoff that is computed."""


@dataclass(frozen=True)
class Verdicts:
    """Verdicts of one component on requests, `[requests]`; `status` is an index into `STATUSES`.

    Attributes:
        labels: Code of the output that follows, -1 if none does.
        evidence: Contexts that support that output, 0 if none; `SWEEP` where seen.
        cutoffs: k-cutoff of the paper's closure; with noise, the evidence of the best direct route.
        one_step: The same for a single substitution.
    """

    status: IntArray
    labels: IntArray
    evidence: IntArray
    cutoffs: IntArray
    one_step: IntArray

    def take(self, places: IntArray) -> Verdicts:
        """Verdicts at some places."""
        return Verdicts(*(getattr(self, name)[places] for name in self.__dataclass_fields__))


def judge(component: Component, inputs: IntArray, sweep: bool = True) -> Verdicts:
    """Judge requests, [requests, slots of the schema] codes; `sweep` also computes the k-cutoffs.

    Strict: by contradiction-aware merging (`eval/coverage/determined.py`) at k, and at 1 for `weak`, unless one direct
    substitution with as much evidence says otherwise. With an agreement: by votes of direct routes, since merged
    classes would have to be split again at each disagreement.
    """
    queries, back = np.unique(component.project(inputs), axis=0, return_inverse=True)
    if component.subsets and component.agreement is None:
        found = _strict(component, queries, sweep)
    else:
        found = _noisy(component, queries)
    return _finished(component, queries, found).take(back.reshape(-1))


def _strict(component: Component, queries: IntArray, sweep: bool) -> Verdicts:
    observations, family, pairs = component.settled.observations, component.subsets, component.pairs
    firm = determine(observations, queries, component.k, family, pairs=pairs)
    loose = determine(observations, queries, 1, family, pairs=pairs) if component.k > 1 else firm
    status = np.select(
        [_one(component, firm), firm.conflict, _one(component, loose), loose.conflict | (loose.labels >= 0)],
        [DETERMINED, AMBIGUOUS, WEAK, AMBIGUOUS],
        UNCOVERED,
    )
    labels = np.where(status == DETERMINED, firm.labels, np.where(status == WEAK, loose.labels, -1))
    evidence = np.where(status == DETERMINED, firm.evidence, np.where(status == WEAK, loose.evidence, 0))
    none = np.zeros(len(queries), dtype=np.int64)
    cutoffs = k_cutoffs(observations, queries, family, SWEEP, pairs=pairs) if sweep else none
    direct = k_cutoffs(observations, queries, family, SWEEP, "one_step", pairs=pairs) if sweep else none
    found = Verdicts(status.astype(np.int64), labels, np.minimum(evidence, SWEEP), cutoffs, direct)
    _contest(component, queries, found)
    return found


def _contest(component: Component, queries: IntArray, found: Verdicts) -> None:
    """Make a request ambiguous if a direct route with as much evidence leads elsewhere: merging broke a tie."""
    router = Router(component)
    for place in np.flatnonzero(found.labels >= 0).tolist():
        query, label = tuple(queries[place].tolist()), found.labels[place]
        if query in component.place:
            continue
        if any(r.label != label and min(r.agree, SWEEP) >= found.evidence[place] for r in router.routes(query)):
            found.status[place], found.labels[place], found.evidence[place] = AMBIGUOUS, -1, 0


def _one(component: Component, determined: Determined) -> NDArray[np.bool_]:
    """Queries with one output, and that of an input whose output is clear."""
    labels = determined.labels
    return (labels >= 0) & (labels < component.settled.first_free) & ~determined.conflict


def _noisy(component: Component, queries: IntArray) -> Verdicts:
    router = Router(component)
    found = Verdicts(*(np.full(len(queries), fill, dtype=np.int64) for fill in (UNCOVERED, -1, 0, 0, 0)))
    for place, query in enumerate(queries.tolist()):
        routes = router.routes(query)
        if not routes:
            continue
        firm = [route for route in routes if route.agree >= component.k]
        vote = voted(firm or routes, component.agreement or 1.0)
        found.status[place] = AMBIGUOUS if vote is None else DETERMINED if firm else WEAK
        if vote is not None:
            found.labels[place], found.evidence[place] = vote[0], min(vote[1], SWEEP)
        found.cutoffs[place] = found.one_step[place] = min(routes[0].agree, SWEEP)
    return found


def _finished(component: Component, queries: IntArray, found: Verdicts) -> Verdicts:
    """Verdicts that need no substitution: observed inputs and unseen values."""
    settled = component.settled
    for place, query in enumerate(map(tuple, queries.tolist())):
        observed = component.place.get(query)
        if observed is not None:
            clear = not settled.unclear[observed]
            found.status[place] = SEEN if clear else AMBIGUOUS
            found.labels[place] = settled.observations.outputs[observed] if clear else -1
            found.evidence[place] = found.cutoffs[place] = found.one_step[place] = SWEEP if clear else 0
        elif component.slots and component.unseen(query):
            found.status[place], found.labels[place], found.evidence[place] = NEW, -1, 0
    return found
