"""BFCL v4's single-turn questions (kind ``bfcl``); evaluation only.

Questions and ``possible_answer`` files of the Berkeley Function-Calling Leaderboard, from a local folder
(the folder ``bfcl_eval/data`` of the package, or a copy named ``bfcl_v4``). A split is one of its
categories, or a group of them. Multi-turn, memory and web search are judged by running BFCL's own Python
classes; they are not read here. Checked against all questions at gorilla's 6ea5797.

The gold of a parameter is a list of accepted values. The first real one goes into ``gold.calls``, the others into
``gold.accepted``, and ``None`` there says that the parameter may be left out (BFCL: ``""`` or null). Where BFCL's rules
and ours part: the ``""`` of a required text is a value, that of another required parameter is dropped, since leaving it
out is wrong for BFCL too; alternatives inside an object are written out as whole objects.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any

from ... import files
from ...options import provides
from ...rows import Row, RowError
from ..check.schema import from_bfcl, to_bfcl
from ..wire.calls import Call, dump
from .common import Record, convert, gold_column, no_training, tools_column

_IN_BOTH = {
    "multiple": "selection",
    "parallel": "parallel_same",
    "parallel_multiple": "parallel_different",
    "irrelevance": "irrelevant",
}
_SCENARIOS = {
    **dict.fromkeys(("simple_python", "simple_java", "simple_javascript"), "single"),
    **_IN_BOTH,
    "live_simple": "single",
    **{f"live_{name}": scenario for name, scenario in _IN_BOTH.items()},
    "live_relevance": "selection",
}
_AST = tuple(name for name in _SCENARIOS if "relevance" not in name)
GROUPS: dict[str, tuple[str, ...]] = {
    **{name: (name,) for name in _SCENARIOS},
    "non_live": tuple(name for name in _AST if not name.startswith("live")),
    "live": tuple(name for name in _AST if name.startswith("live")),
    "single_turn": (*_AST, "irrelevance", "live_irrelevance"),
}
_MOST_VARIANTS = 4096  # of one object with alternatives; the set's largest has 128


@provides("gold", "bfcl", splits=GROUPS)
def rows(split: str = "single_turn", size: int | None = None, seed: int = 0, *, root: str | None = None) -> list[Row]:
    """Single-turn questions of the Berkeley Function-Calling Leaderboard, version 4, from a local folder.

    Rows have ``prompt``, ``tools``, ``gold``, ``category``, and ``bfcl``, what its own rules read.

    In ``live_relevance`` only the decision to call is known: ``gold.calls`` is empty.

    Args:
        split: A category, or ``non_live``, ``live`` (those with gold calls) or ``single_turn`` (these and irrelevance).
        size: Number of rows, drawn with ``seed``; default all.
        seed: Seed of the draw.
        root: Folder of the set; default ``QUINCE_DATA``.

    Raises:
        RowError: If the files are missing, a record is malformed, or a training split is asked for.
    """
    no_training("bfcl", split, "a model that has seen a benchmark cannot be measured with it")
    if split not in GROUPS:
        known = f"one of {', '.join(GROUPS)} (multi-turn, memory and web search need BFCL's own runner)"
        raise RowError(f"data · bfcl · split · found {split!r} · {known}")
    made: list[Row] = []
    for category in GROUPS[split]:
        answers = {} if "relevance" in category else _answers(category, root)
        records = _records(f"BFCL_v4_{category}", category, root)
        made += convert("bfcl", category, records, _converter(category, answers), size=None, seed=seed)
    return files.take(made, size, seed, f"data · bfcl[{split}]")


def _records(stem: str, category: str, root: str | None) -> list[tuple[str, dict[str, Any]]]:
    folder = files.data_root(root)
    stems = (f"bfcl_v4/{stem}", stem)
    if folder is None:
        raise RowError(
            f"data · bfcl[{category}] · found no folder · set root or {files.ROOT_VARIABLE}: {files.wanted(stems)}"
        )
    file = files.find_file(folder, stems, f"data · bfcl[{category}]")
    return [(f"{file}:{number}", record) for number, record in files.read_records(file)]


def _answers(category: str, root: str | None) -> dict[str, tuple[str, Record]]:
    """Answer records by id, each with its place."""
    records = _records(f"possible_answer/BFCL_v4_{category}", category, root)
    return {str(files.field(record, ("id",), where)): (where, record) for where, record in records}


def _converter(category: str, answers: Mapping[str, tuple[str, Record]]) -> Any:
    def to_row(record: Record, where: str) -> Row:
        name = str(files.field(record, ("id",), where))
        documents = _documents(record, where)
        tools = [from_bfcl(document) for document in documents]
        # What BFCL's own rules read. Types of Java and JavaScript become Python's: calls on the wire are JSON.
        java = category in ("simple_java", "simple_javascript")
        checked = {
            "category": category,
            "functions": [to_bfcl(tool) for tool in tools] if java else documents,
            "answers": answers[name][1]["ground_truth"] if name in answers else None,
        }
        return {
            "id": f"bfcl/{name}",
            "language": "" if category.startswith("live") else "en",
            "scenario": "no_tools" if not tools else _SCENARIOS[category],
            "prompt": _prompt(record, where),
            "tools": tools_column(tools, record, where),
            "gold": _gold(category, name, answers, record, where),
            "category": category,
            "bfcl": dump(checked),
        }

    return to_row


def _documents(record: Record, where: str) -> list[Any]:
    documents = record.get("function")
    if not isinstance(documents, list) or not all(isinstance(document, Mapping) for document in documents):
        raise files.malformed(where, "function", documents, "give a list of function documents", record)
    return documents


def _prompt(record: Record, where: str) -> list[dict[str, str]]:
    turns = files.field(record, ("question",), where)
    if not isinstance(turns, list) or len(turns) != 1 or not isinstance(turns[0], list) or not turns[0]:
        raise files.malformed(where, "question", turns, "give one turn, a list of messages", record)
    for message in turns[0]:
        if not isinstance(message, Mapping) or not isinstance(message.get("content"), str):
            raise files.malformed(where, "question", message, "give {role, content}", record)
    return [{"role": message.get("role", "user"), "content": message["content"]} for message in turns[0]]


def _gold(category: str, name: str, answers: Mapping[str, tuple[str, Record]], record: Record, where: str) -> str:
    if category.endswith("irrelevance"):
        # Only that nothing may be called is known: any reply in words is right.
        return gold_column("refuse", decisions=["refuse", "ask", "answer"])
    if category.endswith("relevance"):
        return gold_column("call")
    if name not in answers:
        raise files.malformed(where, "id", name, "give its possible_answer", record)
    place, answer = answers[name]
    truth = files.field(answer, ("ground_truth",), place)
    if not isinstance(truth, list) or not all(isinstance(call, Mapping) and len(call) == 1 for call in truth):
        raise files.malformed(place, "ground_truth", truth, "give a list of {name: {parameter: [values]}}", answer)
    schemas = {document.get("name"): document.get("parameters") or {} for document in _documents(record, where)}
    read = [
        _call(function, values, schemas.get(function, {}), answer, place)
        for call in truth
        for function, values in call.items()
    ]
    accepted = [more for _, more in read]
    return gold_column("call", [call for call, _ in read], accepted=accepted if any(accepted) else [])


def _call(
    name: str, parameters: Any, schema: Mapping[str, Any], record: Record, where: str
) -> tuple[Call, dict[str, list[Any]]]:
    if not isinstance(parameters, Mapping):
        raise files.malformed(where, name, parameters, "give {parameter: [accepted values]}", record)
    arguments: dict[str, Any] = {}
    accepted: dict[str, list[Any]] = {}
    for parameter, values in parameters.items():
        if not isinstance(values, list):
            raise files.malformed(where, f"{name}.{parameter}", values, "give a list of accepted values", record)
        described = (schema.get("properties") or {}).get(parameter) or {}
        required = parameter in (schema.get("required") or ())
        real, optional = _values(values, required, described.get("type") in ("string", "String"))
        if real:
            arguments[parameter] = real[0]
            more = [*real[1:], *([None] if optional else [])]
            accepted |= {parameter: more} if more else {}
    return Call(name, arguments), accepted


def _values(values: list[Any], required: bool, text: bool) -> tuple[list[Any], bool]:
    """The accepted values, alternatives inside them written out, and whether leaving out is right too."""
    real: list[Any] = []
    for value in values:
        if value is None or (value == "" and not (required and text)):
            continue
        for variant in _variants(value):
            # Compared with its type: 1 and True are different answers.
            if not any(type(variant) is type(seen) and variant == seen for seen in real):
                real.append(variant)
    return real, not required and any(value is None or value == "" for value in values)


def _variants(value: Any) -> Iterator[Any]:
    """Whole values of an accepted value: each key of an object has its own list of alternatives."""
    if isinstance(value, dict) and value and all(isinstance(choices, list) for choices in value.values()):
        keys = [[(key, choice) for choice in choices] for key, choices in value.items()]
        # The real choices come first, so that the first variant is the fullest.
        ordered = [sorted(choices, key=lambda pair: pair[1] == "") for choices in keys]
        for chosen in itertools.islice(itertools.product(*ordered), _MOST_VARIANTS):
            yield {key: choice for key, choice in chosen if choice != "" and choice is not None}
    elif isinstance(value, list) and any(isinstance(element, dict) for element in value):
        elements = [list(itertools.islice(_variants(element), _MOST_VARIANTS)) for element in value]
        yield from (list(chosen) for chosen in itertools.islice(itertools.product(*elements), _MOST_VARIANTS))
    else:
        yield value
