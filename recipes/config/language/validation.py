"""From a merged tree to a checked recipe, with every problem named where it was written."""

from __future__ import annotations

import os
import types
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from .errors import Problem, did_you_mean, one_of, show_value
from .kinds import Kinds
from .tree import Entry, origin_of, plain

Path = tuple[str, ...]
R = TypeVar("R", bound=BaseModel)
MOST = 50
"""Problems that are shown; with each an explanation is looked for."""


# Stand-ins for required sections that are wrong; they need no columns and so raise no conflicts.
_SOURCE = {"kind": "jsonl", "path": os.devnull}
_REWARD = {"kind": "format", "pattern": "."}
_STAND_INS: dict[str, Any] = {
    "output_dir": "?",
    "model": {"id": "?"},
    "data": [_SOURCE],
    "rewards": [_REWARD],
    "suites": [{"name": "?", "data": [_SOURCE], "reward": _REWARD}],
    "mixture": [{"kind": "countdown"}],
    "readers": [{"model": {"id": "?"}}],
}


def validate(schema: type[R], tree: Entry) -> tuple[R | None, dict[Path, Problem]]:
    """Check a tree against its schema.

    Where fields are wrong, defaults or stand-ins take their place, so that the checks that look at
    several fields can still speak about the ones that are right.

    Returns:
        The recipe (None if even the rest is not one) and the problems by field.
    """
    data = plain(tree)
    try:
        return schema.model_validate(data), {}
    except ValidationError as error:
        details = error.errors(include_url=False)
    paths = [_field_path(detail, data) for detail in details]
    problems: dict[Path, Problem] = {}
    for path, detail in zip(paths[:MOST], details, strict=False):
        problems.setdefault(path, _problem(schema, tree, data, path, detail))
    if len(paths) > MOST:
        problems[("",)] = Problem(tree.origin, "", f"{len(paths) - MOST:,} more problems", "mend the first ones")
    for path in paths:
        _replace_field(data, path)
    try:
        return schema.model_validate(data), problems
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            _replace_section(data, str(detail["loc"][0]))
    try:
        return schema.model_validate(data), problems
    except ValidationError:
        return None, problems


def _problem(schema: type, tree: Entry, data: Any, path: Path, detail: Mapping[str, Any]) -> Problem:
    field, kind, context = ".".join(path), detail["type"], detail.get("ctx", {})
    where = origin_of(tree, path)
    if kind in ("extra_forbidden", "unexpected_keyword_argument"):
        allowed = _field_names(schema, path[:-1], data)
        hint = did_you_mean(path[-1], allowed)
        return Problem(where, field, "no such field", one_of(allowed), hint)
    if kind in ("missing", "missing_argument"):
        return Problem(where, field, "missing", "this field has no default")
    if kind == "union_tag_not_found":
        return Problem(where, field, "missing", "say which kind it is")
    found = show_value(_value_at(data, path))
    if kind == "union_tag_invalid":
        tags = [tag.strip("'") for tag in context["expected_tags"].split(", ")]
        options = list(dict.fromkeys(tag.partition(" ")[0] for tag in tags))
        return Problem(where, field, found, one_of(options), did_you_mean(context["tag"], options))
    if kind == "literal_error":
        options = [option.strip("'") for option in context["expected"].replace(" or ", ", ").split(", ")]
        hint = did_you_mean(str(detail["input"]), options)
        return Problem(where, field, found, one_of(options), hint)
    return Problem(where, field, found, _allowed(detail))


def _allowed(detail: Mapping[str, Any]) -> str:
    text = detail["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
    text = text.removeprefix("a valid ")
    if detail["type"].endswith("_type") and isinstance(detail["input"], str):
        text += " (without quotes)" if _is_number(detail["input"]) else ""
    return text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _field_path(detail: Mapping[str, Any], data: Any) -> Path:
    """The location without the tags that discriminated unions put into it."""
    path: list[str] = []
    parts = list(detail["loc"])
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if isinstance(data, Mapping) and part not in data and not (last and detail["type"] == "missing"):
            continue
        path.append(str(part))
        data = _step(data, part)
    if detail["type"].startswith("union_tag"):
        path.append("kind")
    return tuple(path)


def _step(data: Any, part: str | int) -> Any:
    if isinstance(data, Mapping):
        return data.get(str(part))
    if isinstance(data, Sequence) and not isinstance(data, str) and str(part).isdigit():
        return data[int(part)] if int(part) < len(data) else None
    return None


def _value_at(data: Any, path: Path) -> Any:
    for part in path:
        data = _step(data, part)
    return data


def _replace_field(data: Any, path: Path) -> None:
    """Take a wrong field out, or put a stand-in where a wrong list item was."""
    parent = _value_at(data, path[:-1])
    if path[-1] == "kind" or not isinstance(parent, (dict, list)):
        path, parent = path[:-1], _value_at(data, path[:-2])
    if isinstance(parent, dict):
        parent.pop(path[-1], None)
    elif isinstance(parent, list) and path[0] in _STAND_INS:
        parent[int(path[-1])] = _STAND_INS[path[0]][0]


def _replace_section(data: dict[str, Any], name: str) -> None:
    if name in _STAND_INS:
        data[name] = _STAND_INS[name]
    else:
        data.pop(name, None)


def _field_names(schema: type, path: Path, data: Any) -> list[str]:
    """The fields allowed at a path, for the kind that was written there."""
    candidates: list[type[BaseModel] | Kinds] = [schema]
    for part in path:
        data = _step(data, part)
        fields = [known[part] for known in map(_fields, candidates) if part in known]
        inner = [model for field in fields for model in _models_in((field.annotation, *field.metadata))]
        candidates = inner if inner else candidates
        candidates = [model for model in candidates if _fits(model, data)] or candidates
        if isinstance(data, Mapping):
            candidates = [
                model.schema(data.get("kind")) or model if isinstance(model, Kinds) else model for model in candidates
            ]
    return list(dict.fromkeys(name for model in candidates for name in _fields(model)))


def _fields(model: type[BaseModel] | Kinds) -> dict[str, FieldInfo]:
    """The fields of a section, or of a dataclass that is one."""
    return getattr(model, "__pydantic_fields__", {})


def _models_in(annotation: Any) -> Iterator[type[BaseModel] | Kinds]:
    if isinstance(annotation, Kinds) or (isinstance(annotation, type) and hasattr(annotation, "__pydantic_fields__")):
        yield annotation
    elif isinstance(annotation, tuple):
        found = [model for part in annotation for model in _models_in(part)]
        yield from [model for model in found if isinstance(model, Kinds)] or found
    elif hasattr(annotation, "__metadata__"):
        yield from _models_in((annotation.__origin__, *annotation.__metadata__))
    elif get_origin(annotation) in (Union, types.UnionType, list):
        for argument in get_args(annotation):
            yield from _models_in(argument)


def _fits(model: type[BaseModel] | Kinds, data: Any) -> bool:
    """Whether the words that tell kinds apart (`kind`, `on`) agree with what was written."""
    if not isinstance(data, Mapping) or isinstance(model, Kinds):
        return True
    for name in ("kind", "on"):
        field = _fields(model).get(name)
        if field is None or name not in data or get_origin(field.annotation) is not Literal:
            continue
        if data[name] not in get_args(field.annotation):
            return False
    return True
