"""The calls of a reply against the gold ones: a matching of multisets in which every call counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...data.function_calling.check.schema import argument_problems
from ...data.function_calling.wire.calls import Call, dump
from .call_values import ArgumentScore, compare_arguments
from .gold_calls import GoldCall

Tools = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class CallScore:
    """A gold call with the call that is matched to it, or one of the two alone.

    Attributes:
        reason: "" if right, else arguments (they differ), missing, extra, duplicate (extra, and equal to another one),
            or hallucinated (extra, and no tool of the row has its name).
        arguments: Every argument of either call; empty unless there are both.
        schema_problems: What JSON Schema says about the found arguments. Reported, never judged by: gold calls may
            violate their own schema, as some of BFCL's do.
    """

    gold: Call | None
    found: Call | None
    reason: str = ""
    arguments: tuple[ArgumentScore, ...] = ()
    schema_problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether it is right."""
        return not self.reason


def match_calls(found: Sequence[Call], gold: Sequence[GoldCall], tools: Tools) -> tuple[CallScore, ...]:
    """One score for each gold call, in their order, then one for each surplus call.

    As many calls as possible are matched as right (a maximum matching); an unmatched gold call then takes the call of
    its name with the largest share of right arguments.
    """
    pairs = {
        (i, j): compare_arguments(call, wanted, tools.get(call.name, {}))
        for i, wanted in enumerate(gold)
        for j, call in enumerate(found)
        if call.name == wanted.call.name
    }
    right = {pair for pair, arguments in pairs.items() if all(argument.ok for argument in arguments)}
    partner = _matching(right, len(gold))
    for i in range(len(gold)):
        free = [j for (k, j) in pairs if k == i and j not in partner.values()] if i not in partner else []
        if free:
            partner[i] = max(free, key=lambda j: (sum(a.ok for a in pairs[i, j]) / max(len(pairs[i, j]), 1), -j))
    scores = []
    for i, wanted in enumerate(gold):
        if i not in partner:
            scores.append(CallScore(wanted.call, None, "missing"))
            continue
        call, arguments = found[partner[i]], pairs[i, partner[i]]
        reason = "" if (i, partner[i]) in right else "arguments"
        scores.append(CallScore(wanted.call, call, reason, arguments, schema_problems(call, tools)))
    extra = [j for j in range(len(found)) if j not in partner.values()]
    texts = [dump([call.name, sorted(call.arguments.items(), key=lambda item: item[0])]) for call in found]
    for j in extra:
        reason = "hallucinated" if found[j].name not in tools else "duplicate" if texts.count(texts[j]) > 1 else "extra"
        scores.append(CallScore(None, found[j], reason, (), schema_problems(found[j], tools)))
    return tuple(scores)


def schema_problems(call: Call, tools: Tools) -> tuple[str, ...]:
    """What JSON Schema says about the arguments of a call; nothing for an unknown tool."""
    if call.name not in tools:
        return ()
    try:
        return tuple(argument_problems(call.arguments, tools[call.name]))
    except Exception as error:  # a schema that its library cannot apply must not decide about a reply
        return (f"arguments: not checked, {type(error).__name__}",)


def _matching(edges: set[tuple[int, int]], size: int) -> dict[int, int]:
    """A maximum matching of a bipartite graph, by augmenting paths."""
    owner: dict[int, int] = {}

    def augment(i: int, seen: set[int]) -> bool:
        for j in sorted(j for k, j in edges if k == i):
            if j not in seen:
                seen.add(j)
                if j not in owner or augment(owner[j], seen):
                    owner[j] = i
                    return True
        return False

    for i in range(size):
        augment(i, set())
    return {i: j for j, i in owner.items()}
