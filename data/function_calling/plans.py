"""Which scenario a request plays, with which tools: chosen to fit a list of tools, or to be given one."""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from . import scenarios
from .say.library import Chain, Library, Tool
from .say.requests import Context
from .scenarios import Episode

MIX: dict[str, int] = {
    "single": 20,
    "selection": 14,
    "optional": 6,
    "parallel_same": 6,
    "parallel_different": 6,
    "sequential": 8,
    "missing": 10,
    "follow_up": 5,
    "irrelevant": 12,
    "no_tools": 3,
    "chat": 2,
    "result_answer": 5,
    "tool_error": 3,
}
"""Share of each scenario, percent."""

_PLAYERS: dict[str, Callable[[Context, Sequence[Tool]], Episode]] = {
    **dict.fromkeys(("single", "selection"), scenarios.single),
    **dict.fromkeys(("irrelevant", "no_tools"), scenarios.irrelevant),
    "optional": scenarios.optional,
    "parallel_same": scenarios.parallel_same,
    "parallel_different": scenarios.parallel_different,
    "missing": scenarios.missing,
    "follow_up": scenarios.follow_up,
    "chat": scenarios.chat,
    "result_answer": scenarios.result_answer,
    "tool_error": scenarios.tool_error,
}


@dataclass(frozen=True)
class Plan:
    """A scenario and its tools: ``needed`` must be listed, ``without`` must not, ``near`` more are look-alikes."""

    scenario: str
    tools: tuple[Tool, ...] = ()
    chain: Chain | None = None
    near: int = 0

    @property
    def needed(self) -> tuple[str, ...]:
        """Ids of the tools to list."""
        if self.chain:
            return (self.chain.first.id, self.chain.second.id)
        return () if self.scenario in ("irrelevant", "no_tools") else tuple(tool.id for tool in self.tools)

    @property
    def without(self) -> tuple[str, ...]:
        """Ids of the tools that must not be listed."""
        return tuple(tool.id for tool in self.tools) if self.scenario == "irrelevant" else ()

    def play(self, context: Context) -> Episode:
        """The conversation of this plan."""
        if self.chain:
            return scenarios.sequential(context, self.chain)
        return _PLAYERS[self.scenario](context, self.tools)


def make_plan(
    scenario: str, library: Library, candidates: Collection[str], rng: random.Random, listable: Collection[str]
) -> Plan | None:
    """Choose the tools of a scenario; None if no tool suits it.

    The request is about one of `candidates`; `listable` are the conversation's tools where they are already fixed.
    """
    if scenario == "chat":
        return Plan(scenario)
    if scenario == "sequential":
        chains = [chain for chain in library.chains.values() if _within(chain, candidates, library)]
        return Plan(scenario, chain=rng.choice(chains)) if chains else None
    tools = [library.tools[name] for name in candidates if _suits(scenario, library.tools[name], library, listable)]
    count = 2 if scenario == "parallel_different" else 1
    if len(tools) < count:
        return None
    near = rng.randint(1, 3) if scenario == "selection" else rng.randint(0, 2) if scenario == "irrelevant" else 0
    return Plan(scenario, tuple(rng.sample(tools, count)), near=near)


def _within(chain: Chain, candidates: Collection[str], library: Library) -> bool:
    """Whether a request may need the chain; where new tools are asked for, one of the two is new."""
    new = all(library.tools[name].held_out for name in candidates)
    return chain.held_out if new else chain.first.id in candidates and chain.second.id in candidates


def _suits(scenario: str, tool: Tool, library: Library, listable: Collection[str]) -> bool:
    match scenario:
        case "optional":
            return bool(tool.optional)
        case "parallel_same":
            return bool(tool.vary)
        case "selection":
            return any(name in listable for name in library.near[tool.id])
    return True
