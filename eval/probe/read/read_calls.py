"""Function-calling rows as slots and outputs: generated rows, and benchmarks that do not record intents.

Fields of both views: `language`, `turn` (`request`, `reply` to a question, `result`, `error`, `busy`), `listed` (tools)
and `text`; outputs `decision`, `tools` (in order), `calls` (how many), `first_tool`, `second_tool`, `first_arguments`,
`second_arguments` (their names), `missing` (what must be asked for) and `first_sources`, `second_sources`, as
`name=source`: `copied` from the user, `earlier` (from a tool's result), `defaulted`, otherwise `computed`.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from ....data.function_calling.check.row_view import RowView, view
from ....data.function_calling.mocks import BUSY
from ....data.function_calling.say.library import VERBATIM, load_library
from ....data.function_calling.wire.calls import Call, dump
from ....data.rows import Row

_BUSY = dump(BUSY)
_MANY = re.compile(
    r"\b(?:both|each|every|all|respectively|and also|as well as|different|two|three|four|several)\b", re.I
)
_NUMBER = re.compile(r"\d[\d.,:/-]*")
_QUESTION = re.compile(r"\b(?:what|how|when|where|who|which|why|is|are|do|does|can|could|would)\b", re.I)


def record(row: Row) -> dict[str, Any]:
    """View of a generated row.

    Further fields: `intent` (tools that the request needs; `first` and `second` of them), `wanted` (number of calls),
    `said` and `entities` (parameters given, kinds of values), `policies` (how values must be written), `served`
    (whether the needed tools are listed), `complete` (whether all that they require is given), `toolset` (ids),
    `distractors` (number of other tools), `near` (whether one of them is of the same domain).

    Raises:
        ValueError: It has no gold.
    """
    seen = _view(row)
    intents = seen.provenance.get("intents") or []
    said = [slot for intent in intents for slot in intent["slots"].items() if slot[1].get("rule") != "result"]
    listed = list(seen.provenance.get("tool_ids") or seen.functions)
    wanted = list(dict.fromkeys(intent["tool"] for intent in intents))
    others = [tool for tool in listed if tool not in wanted]
    return _shared(seen) | {
        "intent": "+".join(wanted) or "none",
        "first": wanted[0] if wanted else "none",
        "second": wanted[1] if len(wanted) > 1 else "none",
        "wanted": len(intents),
        "said": sorted({seen.original_parameters.get(name, name) for name, _ in said}),
        "entities": sorted({slot["rule"] for _, slot in said if slot.get("rule")}),
        "policies": sorted({slot["policy"] for _, slot in said}),
        "served": "nothing wanted" if not wanted else "yes" if set(wanted) <= set(listed) else "no",
        "toolset": sorted(listed),
        "distractors": len(others),
        "complete": _complete(seen, intents),
        "near": any(_domain(tool) == _domain(other) for tool in wanted for other in others),
        "scenario": row.get("scenario"),
    }


def benchmark_record(row: Row) -> dict[str, Any]:
    """View of a row of a public set, where only the words and the listed tools are known before the call.

    Further fields: `api` (Python, Java, JavaScript, live), `count` and `toolset` of the listed tools, `best` (required
    and optional parameters and types of the tool that shares most words with the request), `match` (how many words),
    `numbers`, `many` (words for several), `asks` (a question), `length` in words. `tools` are `A`, `B`, ... by first
    use, since names rarely repeat; `named` has their names. `filled`, `kinds` and `origins`: which parameters are
    given, types of the values, their sources.

    Raises:
        ValueError: It has no gold.
    """
    seen = _view(row)
    text, best, shared = seen.user_text, _best(seen), _shared(seen)
    sources = {item for place, call in enumerate(seen.gold_calls) for item in _sources(seen, place, call)}
    names = list(dict.fromkeys(call.name for call in seen.gold_calls))
    letters = {name: chr(ord("A") + min(place, 25)) for place, name in enumerate(names)}
    category = str(row.get("category") or "")
    return shared | {
        "api": next((name for name in ("live", "javascript", "java") if name in category), "python"),
        "count": len(seen.functions),
        "toolset": sorted(seen.functions),
        "best": _shape(best),
        "match": _similarity(text, best) if best else 0,
        "numbers": len(_NUMBER.findall(text)),
        "many": bool(_MANY.search(text)),
        "conjunctions": len(re.findall(r"\band\b|,|;", text)),
        "asks": bool(_QUESTION.match(text.strip())),
        "length": len(text.split()),
        "named": shared["tools"],
        "tools": [letters[call.name] for call in seen.gold_calls],
        "filled": sorted({_filled(seen, call) for call in seen.gold_calls}),
        "kinds": sorted({type(value).__name__ for call in seen.gold_calls for value in call.arguments.values()}),
        "origins": sorted({item.split("=")[1] for item in sources}),
    }


def _view(row: Row) -> RowView:
    seen = view(row)
    if seen.gold is None:
        raise ValueError("no gold · this reader takes rows of function calls with their right answer")
    return seen


def _shared(seen: RowView) -> dict[str, Any]:
    gold = seen.gold or {}
    calls = [(seen.tool_ids.get(call.name, call.name), call) for call in seen.gold_calls]
    names: dict[str, set[str]] = defaultdict(set)
    sources: dict[str, set[str]] = defaultdict(set)
    for place, (tool, call) in enumerate(calls):
        names[tool].update(seen.original_arguments(call.arguments))
        sources[tool].update(_sources(seen, place, call))
    called = [*names, None, None]
    shared: dict[str, Any] = {
        "language": seen.language or "unknown",
        "turn": _turn(seen.history),
        "listed": len(seen.functions),
        "text": seen.user_text,
        "decision": gold.get("decision"),
        "calls": len(calls),
        "tools": [tool for tool, _ in calls],
        "missing": sorted(seen.original_parameters.get(name, name) for name in gold.get("missing") or ()),
    }
    for which, chosen in zip(("first", "second"), called, strict=False):
        shared[f"{which}_tool"] = chosen
        shared[f"{which}_arguments"] = None if chosen is None else sorted(names[chosen])
        shared[f"{which}_sources"] = None if chosen is None else sorted(sources[chosen])
    return shared


def _turn(history: Sequence[Mapping[str, Any]]) -> str:
    """What the judged turn answers."""
    last = history[-1]
    if last["role"] == "tool":
        content = str(last.get("content"))
        return "busy" if content == _BUSY else "error" if '"error"' in content else "result"
    asked = any(message["role"] == "assistant" and not message.get("tool_calls") for message in history[-2:-1])
    return "reply" if asked else "request"


def _complete(seen: RowView, intents: Sequence[Mapping[str, Any]]) -> str:
    """Whether the requests give all that the listed tools for them need."""
    named = {tool: seen.functions[name]["parameters"] for name, tool in seen.tool_ids.items()}
    asked = [intent for intent in intents if intent["tool"] in named]
    if not asked:
        return "nothing to fill"
    needed = [set(named[intent["tool"]].get("required", ())) for intent in asked]
    return "yes" if all(need <= set(i["slots"]) for i, need in zip(asked, needed, strict=True)) else "no"


def _sources(seen: RowView, place: int, call: Call) -> list[str]:
    """`name=source` of every argument, under the library's names for its own tools."""
    properties = seen.functions.get(call.name, {}).get("parameters", {}).get("properties", {})
    users = "\n".join(str(m.get("content") or "") for m in seen.history if m["role"] == "user").casefold()
    results = "\n".join(str(m.get("content") or "") for m in seen.history if m["role"] == "tool").casefold()
    classes = (seen.gold or {}).get("classes") or []
    policies = classes[place] if place < len(classes) else {}
    found = []
    for name, value in call.arguments.items():
        source = _source(value, properties.get(name) or {}, users, results)
        policy = policies.get(name)
        if policy and source in ("copied", "computed"):
            # Generated rows record how a value must be written; that a word is spelled alike elsewhere is chance.
            source = "copied" if policy in VERBATIM else "computed"
        found.append(f"{seen.original_parameters.get(name, name)}={source}")
    return found


def _source(value: Any, schema: Mapping[str, Any], users: str, results: str) -> str:
    text = (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).casefold()
    inner = list(value.values()) if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    parts = [str(part).casefold() for part in inner] or [text]
    if all(part in users for part in parts):
        return "copied"
    if all(part in results for part in parts):
        return "earlier"
    return "defaulted" if "default" in schema and schema["default"] == value else "computed"


@lru_cache
def _domain(tool: str) -> str:
    known = load_library().tools.get(tool)
    return known.domain if known else tool


def _words(text: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text).replace("_", " ").replace(".", " ")
    return {word.lower()[:6] for word in re.findall(r"[^\W\d_]+", spaced) if len(word) > 3}


def _similarity(text: str, function: Mapping[str, Any]) -> int:
    return len(_words(text) & _words(f"{function['name']} {function.get('description', '')}"))


def _best(seen: RowView) -> Mapping[str, Any]:
    """The listed function that shares most words with the request; empty if none is listed."""
    return max(seen.functions.values(), key=lambda function: _similarity(seen.user_text, function), default={})


def _shape(function: Mapping[str, Any]) -> dict[str, Any]:
    parameters = function.get("parameters") or {}
    properties, required = parameters.get("properties") or {}, parameters.get("required") or []
    types = {str(schema.get("type")) for schema in properties.values() if isinstance(schema, Mapping)}
    return {"required": len(required), "optional": max(0, len(properties) - len(required)), "types": sorted(types)}


def _filled(seen: RowView, call: Call) -> str:
    """Which parameters a call gives."""
    required = set((seen.functions.get(call.name, {}).get("parameters") or {}).get("required") or ())
    given = set(call.arguments)
    if given <= required:
        return "required" if given == required else "part of the required"
    return "required and optional" if required <= given else "part of the required and optional"
