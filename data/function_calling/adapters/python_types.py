"""Python type notes of public tool sets, such as ``List[int]`` or ``str, optional``, as JSON Schema."""

from __future__ import annotations

from typing import Any

_PLAIN = {
    "str": "string",
    "string": "string",
    "int": "integer",
    "integer": "integer",
    "float": "number",
    "number": "number",
    "bool": "boolean",
    "boolean": "boolean",
    "dict": "object",
    "object": "object",
}
_LISTS = ("list", "tuple", "set", "array", "sequence", "iterable")


def schema_of(note: str) -> tuple[dict[str, Any], bool]:
    """Schema of a type note, and whether the note says that the parameter may be left out.

    What is no JSON value (``Callable``) or not known (``Any``, ``np.ndarray``) has the schema of any value.
    """
    parts = [part.strip() for part in _split(note)]
    optional = any(part.lower() in ("optional", "default") or part.lower().startswith("default") for part in parts[1:])
    return _schema(parts[0] if parts else "", optional)


def _schema(note: str, optional: bool) -> tuple[dict[str, Any], bool]:
    name, inside = _application(note)
    if name == "optional" and inside:
        return _schema(inside[0], True)
    if name == "union" and inside:
        kinds = [part for part in inside if part not in ("None", "NoneType")]
        schemas = [_schema(part, False)[0] for part in kinds]
        optional = optional or len(kinds) < len(inside)
        return (schemas[0] if len(schemas) == 1 else {"anyOf": schemas}), optional
    if name in _LISTS:
        return _list(name, inside), optional
    if name == "dict" and len(inside) == 2:
        values = _schema(inside[1], False)[0]
        return {"type": "object", **({"additionalProperties": values} if values else {})}, optional
    return ({"type": _PLAIN[name]} if name in _PLAIN else {}), optional


def _list(name: str, inside: list[str]) -> dict[str, Any]:
    elements = [_schema(part, False)[0] for part in inside if part != "..."]
    same = bool(elements) and all(element == elements[0] for element in elements)
    items = {"items": elements[0]} if same and elements[0] else {}
    # Only a tuple fixes its length; "..." leaves it open.
    fixed = name == "tuple" and len(inside) > 1 and "..." not in inside
    return {"type": "array", **items, **({"minItems": len(inside), "maxItems": len(inside)} if fixed else {})}


def _application(note: str) -> tuple[str, list[str]]:
    """``Name[a, b]`` or ``a | b`` as a lower-case name and its parts."""
    note = note.strip()
    alternatives = [part.strip() for part in _split(note, "|")]
    if len(alternatives) > 1:
        return "union", alternatives
    if not note.endswith("]") or "[" not in note:
        return note.lower(), []
    name, inside = note[:-1].split("[", 1)
    return name.strip().lower().removeprefix("typing."), [part.strip() for part in _split(inside)]


def _split(text: str, mark: str = ",") -> list[str]:
    """Split at a mark outside of brackets."""
    parts, depth, start = [], 0, 0
    for index, letter in enumerate(text):
        depth += (letter in "[(") - (letter in "])")
        if letter == mark and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]
