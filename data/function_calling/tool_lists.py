"""Which tools a prompt lists, and how they are written there."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from functools import cache
from typing import Any

from .check.schema import openai_tool
from .say.library import Library, Parameter, load_library
from .say.packs import load_pack
from .wire.calls import dump

NAME_STYLES = ("snake", "camel", "dotted", "kebab")


def fill_list(
    needed: Sequence[str], near: int, size: int, pool: Collection[str], without: Collection[str], rng: random.Random
) -> list[str]:
    """Ids of the tools to list: the needed ones, `near` near-duplicates of them, and others, in random order.

    At most `size` in all, from the pool; those in `without` are left out, though near-duplicates of them may be listed.
    """
    library = load_library()
    chosen = list(dict.fromkeys(needed))
    around = [name for tool in (*needed, *without) for name in library.near[tool]]
    close = [name for name in dict.fromkeys(around) if name in pool and name not in without and name not in chosen]
    chosen += close[:near]
    rest = [name for name in pool if name not in chosen and name not in without]
    chosen += rng.sample(rest, max(0, min(size - len(chosen), len(rest))))
    rng.shuffle(chosen)
    return chosen


def tools_json(ids: Sequence[str], style: str, language: str | None) -> str:
    """The listed tools as the JSON string of a row."""
    return "[" + ", ".join(_tool_json(tool, style, language) for tool in ids) + "]"


def styled(name: str, style: str) -> str:
    """A snake-case name in another style: ``getAirQuality``, ``get.air_quality``, ``get-air-quality``."""
    first, *rest = name.split("_")
    if style == "camel":
        return first + "".join(word.capitalize() for word in rest)
    if style == "dotted":
        return name.replace("_", ".", 1)
    return name.replace("_", "-") if style == "kebab" else name


@cache
def _tool_json(tool_id: str, style: str, language: str | None) -> str:
    library = load_library()
    tool = library.tools[tool_id]
    texts = load_pack(language).data.get("descriptions", {}) if language else {}
    parameters = {
        "type": "object",
        "properties": {name: _property(item, library, texts) for name, item in tool.parameters.items()},
        "required": list(tool.required),
    }
    description = texts.get("tools", {}).get(tool.id, tool.description)
    return dump(openai_tool(styled(tool.id, style), description, parameters))


def _property(parameter: Parameter, library: Library, texts: dict[str, Any]) -> dict[str, Any]:
    kind = parameter.kind
    found: dict[str, Any] = {"type": kind.type}
    found["description"] = texts.get("slots", {}).get(kind.name, kind.description)
    if kind.policy in ("enum", "iso") and "values" in kind.options:
        found["enum"] = list(kind.options["values"])
    found |= {key: kind.options[key] for key in ("format", "minimum", "maximum") if key in kind.options}
    if "of" in kind.options:
        found["items"] = {"type": library.slots[kind.options["of"]].type}
    if "fields" in kind.options:
        fields = kind.options["fields"]
        found["properties"] = {name: {"type": library.slots[of].type} for name, of in fields.items()}
        found["required"] = list(fields)
    if parameter.default is not None:
        found["default"] = parameter.default
    return found
