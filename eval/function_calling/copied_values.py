"""Arguments copied out of a question without understanding it: numbers, dates, quotations, names, last words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2})?)?|\d{1,2}:\d{2}")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_QUOTED = re.compile(r"[\"'„“”«»‘’]([^\"'„“”«»‘’]+)[\"'„“”«»‘’]")
# A capitalised run of words that does not begin a sentence.
_NAME = re.compile(r"(?<=[^.!?\s]\s)([^\W\d_a-zа-я][\w'-]*(?:\s+[^\W\d_a-zа-я][\w'-]*)*)")
_TOKEN = re.compile(r"[\w@.+-]*\w")


class Entities:
    """What a question seems to name, each thing handed out once.

    Args:
        text: The question.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._dates = _DATE.findall(text)
        self._numbers = _NUMBER.findall(_DATE.sub(" ", text))
        self._names = [*_QUOTED.findall(text), *_NAME.findall(_QUOTED.sub(" ", text))]
        self._rest = _TOKEN.findall(text)

    def number(self) -> float:
        """The next number, 0 when there are no more."""
        return float(self._numbers.pop(0)) if self._numbers else 0.0

    def text(self) -> str:
        """The next quotation or name, then dates, numbers and the last words."""
        for store in (self._names, self._dates, self._numbers):
            if store:
                return store.pop(0)
        return self._rest.pop() if self._rest else ""

    def date(self) -> str:
        """The next date or time, else any text."""
        return self._dates.pop(0) if self._dates else self.text()

    def literal(self, values: Sequence[Any]) -> Any:
        """The first of some values that the question contains, else the first."""
        said = self._text.lower()
        return next((value for value in values if str(value).lower() in said), values[0])


def filled(schema: Mapping[str, Any], names: Sequence[str], text: str) -> dict[str, Any]:
    """Return a value for every named property of a JSON schema, of its type where that is known."""
    entities = Entities(text)
    properties = schema.get("properties")
    known = properties if isinstance(properties, Mapping) else {}
    return {name: _value(known.get(name), entities) for name in names}


def _value(schema: Any, entities: Entities) -> Any:
    if not isinstance(schema, Mapping):
        return entities.text()
    if isinstance(schema.get("enum"), list) and schema["enum"]:
        return entities.literal(schema["enum"])
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = kind[0] if kind else None
    if kind == "integer":
        return int(entities.number())
    if kind == "number":
        return entities.number()
    if kind == "boolean":
        return True
    if kind == "array":
        return [_value(schema.get("items"), entities)]
    if kind == "object":
        return {}
    return entities.date() if "date" in str(schema.get("format", "")) else entities.text()
