"""A recipe before it is checked: plain values that remember the line they came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Entry:
    """A scalar, a list of entries or a mapping of entries, and where it was written.

    Attributes:
        value: ``None``, bool, int, float, str, ``list[Entry]`` or ``dict[str, Entry]``.
        origin: ``file:line``, ``command line`` or another short phrase.
    """

    value: Any
    origin: str


def plain(entry: Entry) -> Any:
    """The values alone."""
    if isinstance(entry.value, dict):
        return {key: plain(child) for key, child in entry.value.items()}
    if isinstance(entry.value, list):
        return [plain(child) for child in entry.value]
    return entry.value


def merge(parent: Entry, child: Entry) -> Entry:
    """Lay a child over its parent: mappings merge key by key, anything else replaces.

    A mapping of another `kind` than its parent's replaces it whole, because the fields of one kind mean nothing to
    another. On the command line `data.0.size=8` reaches into a list.
    """
    if isinstance(parent.value, list) and _is_list_edit(child):
        return _merge_list(parent, child)
    if not isinstance(parent.value, dict) or not isinstance(child.value, dict):
        return child
    kinds = [plain(entry.value["kind"]) for entry in (parent, child) if "kind" in entry.value]
    if len(kinds) == 2 and kinds[0] != kinds[1]:
        return child
    merged = dict(parent.value)
    for key, entry in child.value.items():
        merged[key] = merge(merged[key], entry) if key in merged else entry
    return Entry(merged, child.origin)


def leaves(entry: Entry, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Entry]]:
    """Every scalar and every empty collection, with its path; list items count from 0."""
    children = _children(entry)
    if not children:
        yield path, entry
    for key, child in children:
        yield from leaves(child, (*path, key))


def entry_at(entry: Entry, path: Sequence[str]) -> Entry | None:
    """The entry of a field, or None if it was not written."""
    found: Entry | None = entry
    for key in path:
        found = dict(_children(found)).get(str(key)) if found else None
    return found


def origin_of(entry: Entry, path: Sequence[str]) -> str:
    """Where a field was written, or the nearest mapping around it that was written."""
    for length in range(len(path), -1, -1):
        if found := entry_at(entry, path[:length]):
            return found.origin
    return entry.origin


def _children(entry: Entry) -> list[tuple[str, Entry]]:
    if isinstance(entry.value, dict):
        return list(entry.value.items())
    if isinstance(entry.value, list):
        return [(str(index), child) for index, child in enumerate(entry.value)]
    return []


def _is_list_edit(child: Entry) -> bool:
    written = child.origin == COMMAND_LINE and isinstance(child.value, dict)
    return written and bool(child.value) and all(key.isdigit() for key in child.value)


def _merge_list(parent: Entry, child: Entry) -> Entry:
    items = list(parent.value)
    for key, entry in child.value.items():
        index = min(int(key), len(items))  # a new item is kept at the end: the schema names what it still lacks
        items[index:] = [merge(items[index], entry) if index < len(items) else entry, *items[index + 1 :]]
    return Entry(items, parent.origin)
