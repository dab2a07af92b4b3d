"""YAML text to entries that know their line.

The safe loader with the core schema of YAML 1.2: ``on`` is a word, ``1e-5`` is a float, ``010`` is
ten. Duplicate keys, aliases and tags are problems instead of surprises.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import yaml
from yaml.error import MarkedYAMLError

from .errors import Problem, show_value
from .tree import COMMAND_LINE, Entry

_BOOL = re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$")
_INT = re.compile(r"^[-+]?[0-9]+$")
_FLOAT = re.compile(
    r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
)
_NULL = re.compile(r"^(?:~|null|Null|NULL|)$")
_PLAIN_TAGS = ("map", "seq", "str", "bool", "int", "float", "null")
_RESOLVERS = (("bool", _BOOL), ("int", _INT), ("float", _FLOAT), ("null", _NULL))


LONGEST = 100_000
"""Characters of a recipe; the longest of the library has 40,000 with all defaults. More would take PyYAML seconds."""
TOO_DEEP = "nested too deeply"
DEEPEST = 50
"""Levels of nesting; every later step walks the tree by recursion."""


class CoreLoader(yaml.SafeLoader):
    """PyYAML's safe loader with YAML 1.2 scalars and a limit of nesting."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}  # noqa: RUF012  # as PyYAML declares it
    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """The next node; nesting that is too deep is an error of the text."""
        self.depth += 1
        if self.depth > DEEPEST:
            raise MarkedYAMLError(None, None, TOO_DEEP, self.peek_event().start_mark)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class CoreDumper(yaml.SafeDumper):
    """PyYAML's safe dumper that quotes what either YAML version would not read as a string."""


for _name, _pattern in _RESOLVERS:
    CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _pattern, None)
    CoreDumper.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", _pattern, None)


def read_file(path: Path) -> tuple[Entry, list[Problem]]:
    """Read one recipe file.

    Returns:
        The mapping in the file (empty where it could not be read) and what is wrong with the text.
    """
    shown = display_path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        return Entry({}, shown), [Problem(shown, "", f"cannot be read ({error})", "a UTF-8 text file")]
    return read_text(text, shown)


def read_text(text: str, shown: str) -> tuple[Entry, list[Problem]]:
    """Read the text of a recipe; `shown` is the name of the file in messages."""
    empty = Entry({}, f"{shown}:1")
    if len(text) > LONGEST:
        return empty, [Problem(shown, "", f"{len(text):,} characters", f"a recipe of at most {LONGEST:,}")]
    if _brackets(text) > 4 * DEEPEST:  # PyYAML's time grows with the square of open brackets
        return empty, [Problem(f"{shown}:1", "", TOO_DEEP, f"at most {DEEPEST} levels")]
    problems: list[Problem] = []
    try:
        node = CoreLoader(text).get_single_node()
    except yaml.YAMLError as error:
        return empty, [_syntax_problem(shown, error)]
    if node is None:
        return empty, [Problem(f"{shown}:1", "", "the file is empty", "a mapping with `kind:` or `extends:`")]
    entry = _Builder(shown, problems).build(node, ())
    if not isinstance(entry.value, dict):
        problems.append(Problem(f"{shown}:1", "", "the file is not a mapping", "`field: value` lines"))
        return empty, problems
    return entry, problems


def read_overrides(overrides: list[str]) -> tuple[Entry, list[Problem]]:
    """Read ``a.b=value`` arguments into one mapping; values are YAML, later ones win."""
    root: dict[str, Entry] = {}
    problems: list[Problem] = []
    for text in overrides:
        name, equals, raw = text.partition("=")
        keys = name.strip().split(".")
        if not equals or not all(keys) or len(keys) > DEEPEST or len(raw) > LONGEST:
            problems.append(Problem(COMMAND_LINE, text[:200], "not an override", "`section.field=value`"))
            continue
        if _brackets(raw) > DEEPEST:
            problems.append(Problem(COMMAND_LINE, name, TOO_DEEP, f"at most {DEEPEST} levels"))
            continue
        try:
            node = CoreLoader(raw).get_single_node()
        except yaml.YAMLError as error:
            problems.append(
                Problem(COMMAND_LINE, name, f"found {raw!r}", f"a YAML value ({getattr(error, 'problem', error)})")
            )
            continue
        value = Entry(None, COMMAND_LINE)
        if node is not None:
            value = _Builder(COMMAND_LINE, problems).build(node, tuple(keys))
        _insert(root, keys, value)
    return Entry(root, COMMAND_LINE), problems


def display_path(path: Path) -> str:
    """The path from here if it is below here, else the whole path."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _brackets(text: str) -> int:
    """The most brackets that are open at once, those in strings included."""
    steps = ((character in "[{") - (character in "]}") for character in text)
    return max(itertools.accumulate(steps), default=0)


def _insert(mapping: dict[str, Entry], keys: list[str], value: Entry) -> None:
    for key in keys[:-1]:
        inner = mapping.get(key)
        if inner is None or not isinstance(inner.value, dict):
            inner = mapping[key] = Entry({}, COMMAND_LINE)
        mapping = inner.value
    mapping[keys[-1]] = value


def _syntax_problem(shown: str, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None)
    where = f"{shown}:{mark.line + 1}" if mark else shown
    found = getattr(error, "problem", None) or str(error).splitlines()[0]
    return Problem(where, "", f"not YAML: {found}", "check indentation, quotes and brackets on this line")


class _Builder:
    """Turns a composed YAML document into entries and notes what it cannot accept."""

    def __init__(self, shown: str, problems: list[Problem]) -> None:
        self.shown = shown
        self.problems = problems
        self.scalars = CoreLoader("")
        self.seen: set[int] = set()

    def build(self, node: yaml.Node, path: tuple[str, ...]) -> Entry:
        if id(node) in self.seen:
            self._problem(node, path, "a YAML alias (`*name`)", "write the value out, or inherit it with `extends`")
            return Entry(None, self._origin(node))
        self.seen.add(id(node))
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _PLAIN_TAGS:
            shown = node.tag.replace("tag:yaml.org,2002:", "!!")
            self._problem(node, path, f"the tag {shown}", "plain values only; a recipe never runs or builds objects")
            return Entry(None, self._origin(node))
        if isinstance(node, yaml.MappingNode):
            return Entry(self._mapping(node, path), self._origin(node))
        if isinstance(node, yaml.SequenceNode):
            items = [self.build(child, (*path, str(index))) for index, child in enumerate(node.value)]
            return Entry(items, self._origin(node))
        return Entry(self._scalar(node, path), self._origin(node))

    def _mapping(self, node: yaml.MappingNode, path: tuple[str, ...]) -> dict[str, Entry]:
        mapping: dict[str, Entry] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._problem(key_node, path, "a key that is not a word", "`field: value`")
                continue
            key = key_node.value
            if key in mapping:
                found = f"the key comes twice (first on {mapping[key].origin.rpartition(':')[2]})"
                self._problem(key_node, (*path, key), found, "keep one of them")
            entry = self.build(value_node, (*path, key))
            mapping[key] = Entry(entry.value, self._origin(key_node))
        return mapping

    def _scalar(self, node: yaml.Node, path: tuple[str, ...]) -> Any:
        try:
            if node.tag.endswith(":int"):
                return int(node.value)
            return self.scalars.construct_object(node)
        except (yaml.YAMLError, ValueError) as error:
            self._problem(node, path, show_value(node.value), f"a plain value ({error})"[:200])
            return None

    def _origin(self, node: yaml.Node) -> str:
        return self.shown if self.shown == COMMAND_LINE else f"{self.shown}:{node.start_mark.line + 1}"

    def _problem(self, node: yaml.Node, path: tuple[str, ...], found: str, allowed: str) -> None:
        self.problems.append(Problem(self._origin(node), ".".join(path), found, allowed))
