"""Rooms of the house: no circle of files or folders, no arrow up inside `recipes`, small folders, names that tell."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from .test_house_rules import FLOORS, TREES

PACKAGE = {path: tree for path, tree in TREES.items() if path.parts[0] in FLOORS}
ROOMS = (
    ("methods", "config/language", "config", "parts", "run"),
    ("sft", "dpo", "pretrain", "coverage", "compression", "rlvr"),
    ("evaluate", "plan", "preview", "export", "export/verl"),
    ("command",),
    ("",),
)
"""Rooms of `recipes` from the lowest up. Rooms of the first line stand on each other in their order; rooms of one
later line may use each other, in one direction."""

MOST_FILES = 20
SHARED_NAMES = {"__init__.py", "train.py"}


def targets(path: Path, tree: ast.AST) -> Iterator[Path]:
    """Files of the package that a file imports, also lazily or for types only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = Path(*path.parent.parts[: len(path.parent.parts) - node.level + 1])
            module = base.joinpath(*node.module.split(".")) if node.module else base
            for alias in node.names:
                found = [module / f"{alias.name}.py", module.with_suffix(".py"), module / "__init__.py"]
                yield from [file for file in found if file in TREES][:1]


IMPORTS = {path: {target for target in targets(path, tree) if target != path} for path, tree in PACKAGE.items()}


def circles(arrows: Mapping[Path, set[Path]]) -> list[list[str]]:
    """Strongly connected components of more than one node."""
    reach: dict[Path, set[Path]] = {}
    for start in arrows:
        seen, todo = set(), [start]
        while todo:
            for target in arrows.get(todo.pop(), ()):
                if target not in seen:
                    seen.add(target)
                    todo.append(target)
        reach[start] = seen
    found = {frozenset(b for b in reach[a] if a in reach.get(b, ())) for a in arrows if a in reach[a]}
    return [sorted(map(str, circle)) for circle in found]


def folder_arrows(imports: Mapping[Path, set[Path]]) -> dict[Path, set[Path]]:
    arrows = defaultdict(set)
    for path, found in imports.items():
        arrows[path.parent] |= {target.parent for target in found if target.parent != path.parent}
    return dict(arrows)


def test_no_circle_of_files():
    assert circles(IMPORTS) == []


def test_no_circle_of_folders():
    assert circles(folder_arrows(IMPORTS)) == []


def rank(path: Path) -> tuple[int, int]:
    room = "/".join(path.parent.parts[1:])
    line = next(number for number, rooms in enumerate(ROOMS) if room in rooms)
    return line, ROOMS[line].index(room) if line == 0 else 0


def test_no_arrow_up_inside_recipes():
    up = [
        f"{path} imports {target}"
        for path, found in IMPORTS.items()
        for target in found
        if path.parts[0] == target.parts[0] == "recipes" and path.name != "__init__.py" and rank(target) > rank(path)
    ]
    assert up == []


def test_recipes_has_no_loose_module():
    loose = {path.name for path in PACKAGE if path.parent == Path("recipes")}
    assert loose == {"__init__.py", "cli.py"}


def test_a_folder_has_few_files():
    counts = Counter(path.parent for path in PACKAGE)
    assert {str(folder): count for folder, count in counts.items() if count > MOST_FILES} == {}


def test_a_name_says_where_it_belongs():
    folders = defaultdict(list)
    for path in PACKAGE:
        if path.name not in SHARED_NAMES:
            folders[path.name].append(str(path.parent))
    assert {name: where for name, where in folders.items() if len(where) > 2} == {}


@pytest.mark.parametrize(
    ("arrows", "expected"),
    [({"a": "b", "b": "c", "c": ""}, 0), ({"a": "b", "b": "a", "c": "a"}, 1), ({"a": "b", "b": "c", "c": "b"}, 1)],
)
def test_the_circle_rule(arrows, expected):
    assert len(circles({Path(a): set(map(Path, b)) for a, b in arrows.items()})) == expected
