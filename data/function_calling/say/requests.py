"""What a user asks for: tools with values, before and after they are put into words."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .grammar import Ask, Speaker
from .library import Library, Tool
from .pack_model import Pack
from .slots import draw

SAY_OPTIONAL = 0.3
"""Share of the optional parameters that a user says."""


@dataclass
class Context:
    """What a scenario needs: chance, language, values of the split, and the tools' names in this row."""

    rng: random.Random
    pack: Pack
    library: Library
    speaker: Speaker
    unseen: bool
    name: Callable[[str], str]


@dataclass
class Request:
    """A tool with the values that the user wants: one set of arguments for each call.

    ``said`` has the words of each value, in the order of the calls or once for all of them; the values
    ``from_result`` are said by the result of an earlier call.
    """

    tool: Tool
    arguments: list[dict[str, Any]]
    said: dict[str, list[str]] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)
    from_result: tuple[str, ...] = ()

    def ask(self, names: Sequence[str] | None = None, indifferent: tuple[str, ...] = ()) -> Ask:
        """What to say: all values or those of ``names``; a value that all calls share is said once."""
        values = {}
        for name in self.arguments[0]:
            if names is None or name in names:
                distinct = [arguments[name] for arguments in self.arguments]
                values[name] = distinct[:1] if distinct[0] == distinct[-1] else distinct
        return Ask(self.tool.id, self.tool.parameters, values, indifferent)

    def heard(self, said: Mapping[str, list[str]], rules: list[str]) -> None:
        """Note the words of a sentence."""
        self.said |= said
        self.rules = rules

    def accepted(self, arguments: Mapping[str, Any]) -> dict[str, list[Any]]:
        """Further right values of a call: saying the default and leaving it out are the same request."""
        found = {}
        for name, parameter in self.tool.parameters.items():
            if parameter.default is not None and arguments.get(name, parameter.default) == parameter.default:
                found[name] = [parameter.default, None]
        return found


def draw_request(context: Context, tool: Tool, optional: bool = True, without: tuple[str, ...] = ()) -> Request:
    """Values for the required parameters of a tool but ``without``, and for some of the optional ones."""
    arguments: dict[str, Any] = {}
    kinds: dict[str, list[Any]] = {}
    for name, parameter in tool.parameters.items():
        spoken = parameter.required or (optional and context.rng.random() < SAY_OPTIONAL)
        if not spoken or name in without:
            continue
        taken = kinds.setdefault(parameter.kind.name, [])
        while (value := draw(parameter.kind, context.rng, context.pack, context.unseen)) in taken:
            pass  # two parameters of one kind differ: nobody converts euros to euros
        taken.append(value)
        arguments[name] = value
    return Request(tool, [arguments])


def recorded(requests: Sequence[Request]) -> list[dict[str, Any]]:
    """Provenance: what was wanted, value by value, and in which words."""
    found = []
    for request in requests:
        for place, arguments in enumerate(request.arguments):
            slots = {}
            for name, value in arguments.items():
                words = request.said[name]
                kind = request.tool.parameters[name].kind
                rule = "result" if name in request.from_result else kind.name
                said = words[min(place, len(words) - 1)]
                slots[name] = {"value": value, "said": said, "policy": kind.policy, "rule": rule}
            found.append({"tool": request.tool.id, "slots": slots})
    return found
