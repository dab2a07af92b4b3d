"""Four trivial baselines, as answers in a wire format; a score means little unless it is above theirs."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...data.function_calling.check.row_view import DECISIONS
from ...data.function_calling.check.schema import function_of
from ...data.function_calling.wire.calls import Call
from ...data.function_calling.wire.formats import render_calls
from ...data.rows import Row

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?)?|\d{1,2}:\d{2}")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_QUOTED = re.compile(r"[\"'„“”«»‘’]([^\"'„“”«»‘’]+)[\"'„“”«»‘’]")
# A run of capitalised words that does not begin a sentence.
_NAME = re.compile(r"(?<=[^.!?\s]\s)([^\W\d_a-zа-я][\w'-]*(?:\s+[^\W\d_a-zа-я][\w'-]*)*)")
_TOKEN = re.compile(r"[\w@.+-]*\w")


class _Entities:
    """What a question seems to name; each entity is returned once."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._dates = _DATE.findall(text)
        self._numbers = _NUMBER.findall(_DATE.sub(" ", text))
        self._names = [*_QUOTED.findall(text), *_NAME.findall(_QUOTED.sub(" ", text))]
        self._rest = _TOKEN.findall(text)

    def number(self) -> float:
        return float(self._numbers.pop(0)) if self._numbers else 0.0

    def text(self) -> str:
        """The next quotation or name, then dates, numbers and the last words."""
        for store in (self._names, self._dates, self._numbers):
            if store:
                return store.pop(0)
        return self._rest.pop() if self._rest else ""

    def date(self) -> str:
        return self._dates.pop(0) if self._dates else self.text()

    def literal(self, values: Sequence[Any]) -> Any:
        said = self._text.lower()
        return next((value for value in values if str(value).lower() in said), values[0])


def filled(schema: Mapping[str, Any], names: Sequence[str], text: str) -> dict[str, Any]:
    """A value for every named property of a JSON schema, of its type where that is known."""
    entities = _Entities(text)
    properties = schema.get("properties")
    known = properties if isinstance(properties, Mapping) else {}
    return {name: _value(known.get(name), entities) for name in names}


def _value(schema: Any, entities: _Entities) -> Any:
    if not isinstance(schema, Mapping):
        return entities.text()
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return entities.literal(schema["enum"])
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    match kind:
        case "integer":
            return int(entities.number())
        case "number":
            return entities.number()
        case "boolean":
            return True
        case "array":
            return [_value(schema.get("items"), entities)]
        case "object":
            return {}
    return entities.date() if "date" in str(schema.get("format", "")) else entities.text()


Baseline = Callable[[Row, str], str]
"""From a row and a wire format to an answer; a baseline never looks at the gold."""

_REFUSALS = {
    "en": "I cannot do that with the tools I have.",
    "bg": "Не мога да направя това с инструментите, които имам.",
    "de": "Das kann ich mit meinen Werkzeugen nicht tun.",
}
_QUESTIONS = {"en": "What is the {slot}?", "bg": "Какво е {slot}?", "de": "Was ist {slot}?"}
_REPLIES = {"en": "You are welcome.", "bg": "Моля, няма защо.", "de": "Gern geschehen."}
_WORD = re.compile(r"[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-zа-я])(?=[A-ZА-Я])")


def mute(row: Row, form: str) -> str:
    """Say nothing."""
    return ""


def first_tool(row: Row, form: str) -> str:
    """Call the first tool, its required slots filled with what the question seems to name."""
    tools = _tools(row)
    return _call(tools[0], row, form) if tools else ""


def keyword(row: Row, form: str) -> str:
    """Call the tool whose name and description share most words with the question; refuse if none shares any."""
    asked = _words(_query(row))
    overlaps = [len(asked & _words(f"{tool['name']} {tool['description']}")) for tool in _tools(row)]
    if not any(overlaps):
        return _said(_REFUSALS, row)
    return _call(_tools(row)[overlaps.index(max(overlaps))], row, form)


def chance(row: Row, form: str) -> str:
    """Draw a decision, and a tool to call or to ask about; the row's id is the seed."""
    draw = random.Random(str(row.get("id")))
    tools = _tools(row)
    decision = draw.choice(DECISIONS)
    tool = draw.choice(tools) if tools else None
    if decision == "call" and tool:
        return _call(tool, row, form)
    if decision == "ask" and tool:
        slots = _required(tool["parameters"]) or ["?"]
        return _said(_QUESTIONS, row).replace("{slot}", draw.choice(slots).replace("_", " "))
    return _said(_REFUSALS if decision == "refuse" else _REPLIES, row)


BASELINES: dict[str, Baseline] = {"mute": mute, "first tool": first_tool, "keyword": keyword, "random": chance}


def _tools(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [function_of(tool) for tool in json.loads(row.get("tools") or "[]")]


def _query(row: Mapping[str, Any]) -> str:
    asked = [m["content"] for m in row["prompt"] if m["role"] == "user" and isinstance(m["content"], str)]
    return asked[-1] if asked else ""


def _call(tool: Mapping[str, Any], row: Mapping[str, Any], form: str) -> str:
    schema = tool["parameters"] if isinstance(tool["parameters"], Mapping) else {}
    try:
        return render_calls([Call(tool["name"], filled(schema, _required(schema), _query(row)))], form)
    except ValueError:  # a name that the format cannot write
        return ""


def _required(schema: Any) -> list[str]:
    names = schema.get("required") if isinstance(schema, Mapping) else None
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _words(text: str) -> set[str]:
    """Words of at least four letters; `getCurrentWeather` and `get_current_weather` have the same ones."""
    return {word.lower() for word in _WORD.findall(_CAMEL.sub(" ", text).replace("_", " ")) if len(word) > 3}


def _said(phrases: Mapping[str, str], row: Mapping[str, Any]) -> str:
    return phrases.get(row.get("language") or "", phrases["en"])
