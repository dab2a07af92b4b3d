"""Schemas made from code: the annotated function or dataclass that does the work is what recipes are checked against.

A kind is imported when a recipe names it, so that checking a recipe costs no more than the code it uses.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib import import_module
from typing import Any, Literal, get_args, get_origin, get_type_hints

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, create_model
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

from .section import Section

Derive = Callable[[str, Any], type[Section]]
"""Makes the schema of a kind from the object that its registry names."""


class Kinds:
    """A union of sections told apart by `kind`; the metadata of an `Annotated` type.

    Args:
        derive: `source_schema`, `reward_schema` or the like.
        registry: Kind to `package.module:name`, read when a recipe is checked, so that later entries count.
        written: Schemas written by hand, by kind.
        only: The kinds of the registry that are allowed; None allows all.
    """

    def __init__(
        self, derive: Derive, registry: Mapping[str, str], written: Mapping[str, type[Section]], *only: str
    ) -> None:
        self._derive, self._registry, self._written, self._only = derive, registry, written, only

    def names(self) -> list[str]:
        """All kinds."""
        return [*(self._only or self._registry), *self._written]

    def schema(self, kind: object) -> type[Section] | None:
        """The schema of a kind; None if there is no such kind."""
        if not isinstance(kind, str) or kind not in self.names():
            return None
        return self._written.get(kind) or _schema(self._derive, kind, self._registry[kind])

    def validate(self, value: Any) -> Any:
        """The section that a mapping describes; a section is left as it is."""
        if isinstance(value, Section):
            return value
        if not isinstance(value, dict):
            raise PydanticKnownError("dict_type")
        if "kind" not in value:
            raise PydanticKnownError("union_tag_not_found", {"discriminator": "'kind'"})
        if (schema := self.schema(value["kind"])) is None:
            names = ", ".join(f"'{name}'" for name in self.names())
            context = {"discriminator": "'kind'", "tag": str(value["kind"]), "expected_tags": names}
            raise PydanticKnownError("union_tag_invalid", context)
        return schema.model_validate(value)

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self.validate)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schemas = (self.schema(name) for name in self.names())
        return {"oneOf": [handler(schema.__pydantic_core_schema__) for schema in schemas if schema is not None]}


@lru_cache(maxsize=256)
def _schema(derive: Derive, kind: str, path: str) -> type[Section]:
    module, _, name = path.partition(":")
    return derive(kind, getattr(import_module(module), name))


def derived(
    base: type[Section],
    kind: str,
    about: str,
    options: Mapping[str, tuple[Any, Any]],
    doc: str | None,
    validators: dict[str, Any] | None = None,
) -> Any:
    """A schema with the options of some code.

    Args:
        base: Has the fields that all kinds share.
        kind: The only value of the field `kind`.
        about: First sentences of its description.
        options: Name to type and default (`...` where there is none).
        doc: The docstring that explains the options.
        validators: Pydantic validators of the whole.
    """
    explained = _explained(doc)
    fields: dict[str, Any] = {"kind": (Literal[kind], ...)}
    for name, (annotation, default) in options.items():
        default = list(default) if isinstance(default, tuple) else default
        fields[name] = (annotation, Field(default, description=explained.get(name)))
    name = kind.title().replace("_", "") + base.__name__
    return create_model(name, __base__=base, __doc__=about, __validators__=validators, **fields)


def parameters(function: Callable[..., Any]) -> dict[str, tuple[Any, Any]]:
    """Types and defaults of a function's parameters, or of a callable object's."""
    called = function if inspect.isroutine(function) else type(function).__call__
    hints = get_type_hints(called, include_extras=True)
    return {
        name: (hints.get(name, Any), ... if parameter.default is parameter.empty else parameter.default)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def fields_of(cls: type) -> dict[str, tuple[Any, Any]]:
    """Types and defaults of a dataclass's fields."""
    hints = get_type_hints(cls, include_extras=True)
    options: dict[str, tuple[Any, Any]] = {}
    for field in dataclasses.fields(cls):
        made = field.default_factory
        default = field.default if made is dataclasses.MISSING else made()
        options[field.name] = (hints[field.name], ... if default is dataclasses.MISSING else default)
    return options


def summary(doc: str | None) -> str:
    """The first paragraph of a docstring."""
    return " ".join(inspect.cleandoc(doc or "").partition("\n\n")[0].split())


def literal_values(annotation: Any) -> tuple[Any, ...]:
    """What a `Literal`, or a union of them, allows; nothing for other types."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    return tuple(value for part in get_args(annotation) for value in literal_values(part))


def _explained(doc: str | None) -> dict[str, str]:
    """Name to text of the sections `Args:` and `Attributes:` of a Google docstring."""
    found: dict[str, str] = {}
    for name, text in _entries(inspect.cleandoc(doc or "").splitlines()):
        found[name] = f"{found[name]} {text}" if name in found else text
    return found


def _entries(lines: list[str]) -> Iterator[tuple[str, str]]:
    inside, name = False, ""
    for line in lines:
        if line and not line.startswith(" "):
            inside = line in ("Args:", "Attributes:")
        elif inside and (entry := re.match(r" {4}(\w+): (.*)", line)):
            name = entry[1]
            yield name, entry[2].strip()
        elif inside and line.strip() and name:
            yield name, line.strip()
