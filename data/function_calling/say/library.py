"""The tool library (``tools.yaml``): typed tools as data.

A parameter names a slot kind; the kind defines its JSON type, how values are drawn (``slots.py``) and the value policy.
The policy is part of the parameter's description, so that the prompt alone determines the right value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import yaml

from ...rows import RowError

FILE = Path(__file__).parents[1] / "tools.yaml"
POLICIES = ("verbatim", "enum", "iso", "number", "boolean", "translit", "translate", "list", "object")
VERBATIM = ("verbatim", "list", "object")
"""Policies whose values must occur in the dialogue as they are."""


@dataclass(frozen=True)
class SlotKind:
    """What values a parameter takes and how a user's words become them.

    Attributes:
        policy: One of ``POLICIES``: how the value relates to what the user says.
        description: The policy in two to five words.
        options: What the sampler needs: ``values``, ``minimum``, ``maximum``, ``of``, ``fields``, ...
    """

    name: str
    type: str
    policy: str
    sampler: str
    description: str
    options: Mapping[str, Any]


@dataclass(frozen=True)
class Parameter:
    """One parameter of a tool; ``default`` is None when it has none."""

    name: str
    kind: SlotKind
    required: bool
    default: Any = None


@dataclass(frozen=True)
class Tool:
    """One tool; ``vary`` names the parameters in which parallel calls of one request differ."""

    id: str
    description: str
    domain: str
    parameters: Mapping[str, Parameter]
    vary: tuple[str, ...]
    held_out: bool

    @cached_property
    def required(self) -> tuple[str, ...]:
        """Names of the required parameters."""
        return tuple(name for name, parameter in self.parameters.items() if parameter.required)

    @cached_property
    def optional(self) -> tuple[str, ...]:
        """Names of the others."""
        return tuple(name for name, parameter in self.parameters.items() if not parameter.required)


@dataclass(frozen=True)
class Chain:
    """A request of two calls; ``uses`` maps parameters of the second to result fields of the first."""

    id: str
    first: Tool
    second: Tool
    uses: Mapping[str, str]

    @cached_property
    def held_out(self) -> bool:
        """Whether one of the tools is kept out of training."""
        return self.first.held_out or self.second.held_out


@dataclass(frozen=True)
class Library:
    """All tools, slot kinds and chains."""

    slots: Mapping[str, SlotKind]
    tools: Mapping[str, Tool]
    chains: Mapping[str, Chain]

    @cached_property
    def near(self) -> dict[str, tuple[str, ...]]:
        """Near-duplicates of each tool, nearest first: same domain, same verb, shared kinds of slots."""
        found = {}
        for tool in self.tools.values():
            close = {other.id: _closeness(tool, other) for other in self.tools.values() if other is not tool}
            found[tool.id] = tuple(sorted((name for name in close if close[name] >= 2), key=lambda name: -close[name]))
        return found


def _closeness(one: Tool, other: Tool) -> int:
    kinds = [{parameter.kind.name for parameter in tool.parameters.values()} for tool in (one, other)]
    same_verb = one.id.split("_")[0] == other.id.split("_")[0]
    return 2 * (one.domain == other.domain) + same_verb + len(kinds[0] & kinds[1])


@lru_cache
def load_library() -> Library:
    """Read and check the tool library of the package."""
    return read_library(FILE)


def read_library(path: Path) -> Library:
    """Read and check a tool library.

    Raises:
        RowError: For the first malformed tool, with file, place and fix.
    """
    data = read_yaml(path)
    slots = {name: _slot(name, spec, path.name) for name, spec in data["slots"].items()}
    tools = {name: _tool(name, spec, slots, path.name) for name, spec in data["tools"].items()}
    chains = {name: _chain(name, spec, tools, path.name) for name, spec in data["chains"].items()}
    return Library(slots, tools, chains)


class _Loader(yaml.SafeLoader):
    """YAML 1.2's booleans: ``on``, ``no`` and ``yes`` are words here."""


_Loader.yaml_implicit_resolvers = {
    letter: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:bool"]
    for letter, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|false"), list("tf"))


def read_yaml(path: Path) -> Any:
    """The data of a YAML file; only ``true`` and ``false`` are booleans.

    Raises:
        RowError: If it is not YAML.
    """
    try:
        return _Loader(path.read_text(encoding="utf-8")).get_single_data()
    except yaml.YAMLError as error:
        raise RowError(f"{path.name} · not YAML · {error} · mend the file") from None


def _slot(name: str, spec: dict[str, Any], file: str) -> SlotKind:
    where = f"{file} · slots.{name}"
    missing = [key for key in ("type", "policy", "sampler", "description") if key not in spec]
    if missing:
        raise RowError(f"{where} · {missing[0]} · missing · give type, policy, sampler and description")
    if spec["policy"] not in POLICIES:
        raise RowError(f"{where} · policy · found {spec['policy']!r} · one of {', '.join(POLICIES)}")
    options = {key: value for key, value in spec.items() if key not in SlotKind.__annotations__}
    return SlotKind(name, spec["type"], spec["policy"], spec["sampler"], spec["description"], options)


def _tool(name: str, spec: dict[str, Any], slots: dict[str, SlotKind], file: str) -> Tool:
    parameters = {}
    for key, options in spec["parameters"].items():
        if options.get("slot") not in slots:
            where = f"{file} · tools.{name}.parameters.{key}"
            raise RowError(f"{where} · slot · found {options.get('slot')!r} · name a kind of `slots`")
        default = options.get("default")
        required = default is None and not options.get("optional", False)
        parameters[key] = Parameter(key, slots[options["slot"]], required, default)
    unknown = [key for key in spec.get("vary", ()) if key not in parameters]
    if unknown:
        raise RowError(f"{file} · tools.{name} · vary · found {unknown[0]!r} · one of {', '.join(parameters)}")
    vary, held_out = tuple(spec.get("vary", ())), spec.get("held_out", False)
    return Tool(name, spec["description"], spec["domain"], parameters, vary, held_out)


def _chain(name: str, spec: dict[str, Any], tools: dict[str, Tool], file: str) -> Chain:
    for role in ("first", "second"):
        if spec[role] not in tools:
            raise RowError(f"{file} · chains.{name} · {role} · found {spec[role]!r} · name a tool of `tools`")
    return Chain(name, tools[spec["first"]], tools[spec["second"]], dict(spec["uses"]))
