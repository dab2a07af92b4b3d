"""Rules of the house, checked on the syntax trees and the file list of the repository."""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
FLOORS = ("data", "rewards", "eval", "recipes")  # each may import itself and those before it
MAX_FUNCTION_LINES = 80
MAX_FILE_LINES = 400


def listed_files() -> list[Path]:
    """Files that git tracks or would take in; outside a checkout, everything but hidden folders."""
    command = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    try:
        names = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        names = [str(path.relative_to(ROOT)) for path in ROOT.glob("[!.]*/**/*")]
    return [ROOT / name for name in names if (ROOT / name).is_file()]


FILES = listed_files()
TREES = {
    path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8"), str(path))
    for path in FILES
    if path.suffix == ".py"
}


def imported_modules(path: Path, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and absolute dotted name of every import of a file of the package."""
    package = ("quince", *path.parent.parts)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def upward_imports(path: Path, tree: ast.AST) -> list[str]:
    above = FLOORS[FLOORS.index(path.parts[0]) + 1 :]
    return [
        f"{path}:{line} imports {name}"
        for line, name in imported_modules(path, tree)
        if name.startswith(tuple(f"quince.{floor}" for floor in above))
    ]


def unsafe_calls(path: Path, tree: ast.AST) -> list[str]:
    """Calls that would run code found in data."""
    return [
        f"{path}:{node.lineno} {ast.unparse(node.func)}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and is_unsafe(node)
    ]


def is_unsafe(call: ast.Call) -> bool:
    name = ast.unparse(call.func)
    keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if name in {"eval", "exec", "yaml.load", "yaml.unsafe_load", "marshal.loads", "torch.hub.load"}:
        return True
    if re.fullmatch(r"(pickle|dill|cloudpickle|joblib|shelve)\.(loads?|open|Unpickler)", name):
        return True
    if name == "torch.load":
        return keywords.get("weights_only") != "True"
    if name in {"np.load", "numpy.load"}:
        return keywords.get("allow_pickle", "False") != "False"
    return keywords.get("trust_remote_code", "False") != "False"


@pytest.mark.parametrize("path", [path for path in TREES if path.parts[0] in FLOORS], ids=str)
def test_imports_never_point_up(path):
    assert upward_imports(path, TREES[path]) == []


def test_nothing_executes_what_it_loads():
    found = [call for path, tree in TREES.items() for call in unsafe_calls(path, tree)]
    assert found == []


def test_functions_and_files_stay_readable():
    long_functions = [
        f"{path}:{node.lineno} {node.name} has {node.end_lineno - node.lineno + 1} lines"
        for path, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > MAX_FUNCTION_LINES
    ]
    counts = {path: len((ROOT / path).read_text(encoding="utf-8").splitlines()) for path in TREES}
    long_files = [f"{path} has {count} lines" for path, count in counts.items() if count > MAX_FILE_LINES]
    assert long_functions + long_files == []


def test_listed_packages_are_the_folders():
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed = tomllib.load(file)["tool"]["setuptools"]["packages"]
    folders = {path.parent for path in TREES if path.name == "__init__.py" and path.parts[0] != "tests"}
    assert sorted(listed) == sorted(".".join(("quince", *folder.parts)) for folder in folders)


def test_every_code_folder_is_a_package():
    folders = {path.parent for path in TREES if path.parts[0] in FLOORS}
    assert [str(folder) for folder in folders if folder / "__init__.py" not in TREES] == []


def test_no_machine_paths():
    # Written in pieces, so that this file passes its own test.
    pattern = re.compile(r"/(?:" + "|".join(("home/[a-z]", "root/", "Users/[A-Za-z]", "work/", "tmp/")) + ")")
    found = []
    for path in FILES:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if path != Path(__file__):
            found += [f"{path.relative_to(ROOT)}: {match.group()}" for match in pattern.finditer(text)]
    assert found == []


@pytest.mark.parametrize(
    ("source", "bad"),
    [
        ("torch.load(f)", True),
        ("torch.load(f, weights_only=True)", False),
        ("yaml.load(f)", True),
        ("yaml.safe_load(f)", False),
        ("pickle.loads(b)", True),
        ("eval(text)", True),
        ("model.eval()", False),
        ("AutoModel.from_pretrained(x, trust_remote_code=True)", True),
        ("np.load(f)", False),
        ("np.load(f, allow_pickle=True)", True),
    ],
)
def test_the_unsafe_call_rule(source, bad):
    assert bool(unsafe_calls(Path("x.py"), ast.parse(source))) == bad


@pytest.mark.parametrize(
    ("path", "source", "bad"),
    [
        ("data/x.py", "from ..rewards.base import Reward", True),
        ("data/x.py", "from .rows import Row", False),
        ("rewards/x.py", "from ..data.rows import Row", False),
        ("rewards/x.py", "from quince.eval import statistics", True),
        ("eval/engines/x.py", "from ...recipes import models", True),
        ("eval/engines/x.py", "from ... import recipes", True),
        ("recipes/rlvr/x.py", "from ...eval.engines import load_engine", False),
    ],
)
def test_the_import_rule(path, source, bad):
    assert bool(upward_imports(Path(path), ast.parse(source))) == bad
