"""The `trainer:` section, checked against the installed library without importing it.

The names, types and defaults are read from the source of TRL's configurations and transformers'
`TrainingArguments` with `ast`; importing them would take seconds and torch.
"""

from __future__ import annotations

import ast
import importlib.util
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from ...data.options import did_you_mean
from .language.errors import one_of, show_value
from .trainer_fields import CHOICES, DEFAULTS, FIELDS, RANGES, Target

_BASES = (("transformers", "training_args.py", "TrainingArguments"), ("trl", "trainer/base_config.py", "_BaseConfig"))
_CLASSES = {
    "pretrain": _BASES[:1],
    "coverage": _BASES[:1],
    "rlvr": (*_BASES, ("trl", "trainer/grpo_config.py", "GRPOConfig")),
    "sft": (*_BASES, ("trl", "trainer/sft_config.py", "SFTConfig")),
    "dpo": (*_BASES, ("trl", "trainer/dpo_config.py", "DPOConfig")),
}
_ENUMS = (("transformers", "trainer_utils.py"), ("transformers", "training_args.py"))


@dataclass(frozen=True)
class TrainerFields:
    """What an installed configuration class accepts.

    Attributes:
        source: Class, library and version, for messages.
        annotations: Type of each field as source code.
        defaults: Default of each field that is written as a constant.
        enums: Allowed strings of each enum named in an annotation.
    """

    source: str
    annotations: dict[str, ast.expr]
    defaults: dict[str, Any] = field(default_factory=dict)
    enums: dict[str, tuple[str, ...]] = field(default_factory=dict)


@lru_cache
def installed_fields(target: Target) -> TrainerFields | None:
    """Read the fields of the installed configuration class; None if it is not installed."""
    annotations: dict[str, ast.expr] = {}
    defaults: dict[str, Any] = {}
    for package, file, name in _CLASSES[target]:
        body = _class_body(package, file, name)
        if body is None:
            return None
        for statement in body:
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                annotations[statement.target.id] = statement.annotation
                defaults.update(_default(statement.target.id, statement.value))
    package, _, name = _CLASSES[target][-1]
    source = f"{name} ({package} {metadata.version(package)})"
    return TrainerFields(source, annotations, defaults, _read_enums())


def check_trainer(values: Mapping[str, Any], target: Target) -> Iterator[tuple[str, str, str, str]]:
    """Yield (field, found, allowed, hint) for every value that the library would not take."""
    fields = installed_fields(target)
    for name, value in values.items():
        rule = FIELDS[target].get(name)
        if rule is not None and rule.status == "refused":
            yield name, "not a field for a recipe", rule.reason, ""
        elif isinstance(value, float) and not math.isfinite(value):
            yield name, show_value(value), "a finite number", ""
        elif fields is not None and name not in fields.annotations:
            yield name, "no such field", f"a field of {fields.source}", did_you_mean(name, fields.annotations)
        elif fields is not None and not _accepts(fields.annotations[name], value, fields.enums):
            allowed = _describe(fields.annotations[name], fields.enums)
            hint = did_you_mean(str(value), _strings(fields.annotations[name], fields.enums))
            yield name, show_value(value), allowed, hint
        elif value not in (choices := CHOICES.get(target, {}).get(name, (value,))):
            yield name, show_value(value), f"one of {', '.join(choices)}", did_you_mean(str(value), choices)
        elif name in RANGES and not RANGES[name].holds(value):
            yield name, show_value(value), str(RANGES[name]), ""


def trainer_value(values: Mapping[str, Any], name: str, target: Target = "rlvr") -> Any:
    """The value in effect: the recipe's, else the library's default (None if it is not a constant)."""
    fields = installed_fields(target)
    return values.get(name, (fields.defaults if fields else DEFAULTS[target]).get(name))


def _class_body(package: str, file: str, name: str) -> list[ast.stmt] | None:
    module = _parse(package, file)
    for node in module.body if module else ():
        if isinstance(node, ast.ClassDef) and node.name == name:
            return node.body
    return None


@lru_cache
def _parse(package: str, file: str) -> ast.Module | None:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / file
    return ast.parse(path.read_text(encoding="utf-8")) if path.is_file() else None


def _default(name: str, value: ast.expr | None) -> dict[str, Any]:
    if isinstance(value, ast.Call):
        value = next((word.value for word in value.keywords if word.arg == "default"), None)
    try:
        return {} if value is None else {name: ast.literal_eval(value)}
    except ValueError:
        return {}


def _read_enums() -> dict[str, tuple[str, ...]]:
    enums: dict[str, tuple[str, ...]] = {}
    for package, file in _ENUMS:
        module = _parse(package, file)
        for node in module.body if module else ():
            if isinstance(node, ast.ClassDef) and any("Enum" in ast.unparse(base) for base in node.bases):
                values = [statement.value for statement in node.body if isinstance(statement, ast.Assign)]
                constants = [value.value for value in values if isinstance(value, ast.Constant)]
                enums[node.name] = tuple(text for text in constants if isinstance(text, str))
    return enums


def _members(annotation: ast.expr) -> list[ast.expr]:
    """The alternatives of a union written with `|`."""
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        return [*_members(annotation.left), *_members(annotation.right)]
    return [annotation]


def _choices(members: list[ast.expr], enums: Mapping[str, tuple[str, ...]]) -> list[ast.expr]:
    """Without the `str` that stands beside an enum only for the spelling of its values."""
    if any(isinstance(member, ast.Name) and member.id in enums for member in members):
        return [member for member in members if ast.unparse(member) != "str"]
    return members


def _accepts(annotation: ast.expr, value: Any, enums: Mapping[str, tuple[str, ...]]) -> bool:
    return any(_accepts_one(member, value, enums) for member in _choices(_members(annotation), enums))


def _accepts_one(member: ast.expr, value: Any, enums: Mapping[str, tuple[str, ...]]) -> bool:
    if isinstance(member, ast.Constant):
        return value is member.value
    if isinstance(member, ast.Subscript):
        outer = ast.unparse(member.value)
        if outer == "Literal":
            inner = member.slice.elts if isinstance(member.slice, ast.Tuple) else [member.slice]
            return any(value == ast.literal_eval(option) for option in inner)
        if outer == "list":
            return isinstance(value, list) and all(_accepts(member.slice, item, enums) for item in value)
        return outer == "dict" and isinstance(value, dict)
    name = ast.unparse(member)
    if name in enums:
        return value in enums[name]
    if name == "float":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    plain_types = {"int": int, "bool": bool, "str": str, "dict": dict, "list": list}
    return name == "Any" or type(value) is plain_types.get(name)


def _describe(annotation: ast.expr, enums: Mapping[str, tuple[str, ...]]) -> str:
    words = {"int": "an integer", "float": "a number", "bool": "true or false", "str": "a string"}
    words |= {"None": "null", "dict": "a mapping"} | {name: one_of(values) for name, values in enums.items()}
    texts = map(ast.unparse, _choices(_members(annotation), enums))
    return " or ".join(words.get(text, text) for text in texts)


def _strings(annotation: ast.expr, enums: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The strings that the enums of a type allow."""
    return [text for member in _members(annotation) for text in enums.get(ast.unparse(member), ())]
