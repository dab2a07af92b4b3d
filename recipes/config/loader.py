"""Load a recipe: find it, follow `extends`, apply overrides, check everything, report at once."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from .compression_eval import CompressionEvalRecipe
from .coverage import CoverageRecipe
from .dpo import DpoRecipe
from .evaluation import EvalRecipe
from .language.errors import Conflict, Problem, RecipeErrors, did_you_mean, show_value
from .language.library import LIBRARY, find_parent, find_recipe, recipe_name
from .language.reading import display_path, read_file, read_overrides
from .language.secrets import secret_problems
from .language.tree import COMMAND_LINE, Entry, merge, origin_of, plain
from .language.validation import MOST, validate
from .loaded import LoadedRecipe, Recipe, value_origins
from .pipeline import PipelineRecipe, check_pipeline, with_stages
from .pretrain import PretrainRecipe
from .rlvr import RlvrRecipe
from .sft import SftRecipe
from .trainer_arguments import check_trainer, installed_fields
from .trainer_fields import FIELDS

SCHEMAS: dict[str, type[Recipe]] = {
    "rlvr": RlvrRecipe,
    "sft": SftRecipe,
    "dpo": DpoRecipe,
    "pretrain": PretrainRecipe,
    "coverage": CoverageRecipe,
    "eval": EvalRecipe,
    "compression_eval": CompressionEvalRecipe,
    "pipeline": PipelineRecipe,
}


LAUNCH = "the launch"
"""Origin of a number of processes that nobody wrote down."""


def load_recipe(name_or_path: str, overrides: Sequence[str] = (), processes: int | None = None) -> LoadedRecipe[Recipe]:
    """Load and check a recipe without importing torch.

    Args:
        name_or_path: A name in the library (`rlvr/tiny_grpo`) or a YAML file.
        overrides: `section.field=value` arguments, applied after inheritance.
        processes: `launch.processes` of a recipe that does not say it.

    Raises:
        RecipeErrors: With every problem of the recipe, not only the first.
    """
    path = find_recipe(name_or_path)
    tree, problems = _read_with_parents(path, ())
    changes, more = read_overrides(list(overrides))
    name = recipe_name(path)
    # A file that could not be read is no reason to miss its fields.
    unread = any(problem.field in ("", "extends") for problem in problems)
    tree = _with_processes(_with_output_dir(Entry(merge(tree, changes).value, tree.origin), name), processes)
    problems += more
    if _kind(tree) == "pipeline":
        tree, more = with_stages(tree, lambda stage: _over_parents(stage, path, ()))
        problems += more
    if secrets := secret_problems(tree):
        raise RecipeErrors(name_or_path, _in_order(secrets))  # alone, since other messages repeat values
    recipe, found = _check(tree, display_path(path))
    found = [problem for problem in found if not (unread and problem.found == "missing")]
    if problems or found or recipe is None:
        raise RecipeErrors(name_or_path, _in_order([*problems, *found]))
    return LoadedRecipe(name, path, recipe, value_origins(recipe, tree), _notes(recipe))


def description(path: Path) -> str:
    """The description of a recipe, its own or inherited, without checking the rest."""
    tree, _ = _read_with_parents(path, ())
    return str(plain(tree.value.get("description", Entry("", tree.origin))))


def _read_with_parents(path: Path, children: tuple[Path, ...]) -> tuple[Entry, list[Problem]]:
    tree, problems = read_file(path)
    whole, more = _over_parents(tree, path, children)
    return whole, [*problems, *more]


def _over_parents(tree: Entry, path: Path, children: tuple[Path, ...]) -> tuple[Entry, list[Problem]]:
    """Lay a recipe written in the file at `path` over what it `extends`."""
    extends = tree.value.pop("extends", None)
    if extends is None:
        return tree, []
    parent = find_parent(path, extends.value)
    if parent is None:
        names = [str(file.relative_to(LIBRARY)) for file in LIBRARY.rglob("*.yaml")]
        hint = did_you_mean(str(extends.value), names)
        allowed = f"a file beside this one, or one of {LIBRARY.name}/"
        problem = Problem(extends.origin, "extends", f"no such file {plain(extends)!r}", allowed, hint)
        return tree, [problem]
    chain = (*children, path)
    if parent in chain:
        circle = " -> ".join(display_path(file) for file in (*chain[chain.index(parent) :], parent))
        return tree, [Problem(extends.origin, "extends", f"a circle: {circle}", "a parent that ends")]
    parent_tree, problems = _read_with_parents(parent, chain)
    return merge(parent_tree, tree), problems


def _with_output_dir(tree: Entry, name: str) -> Entry:
    written = tree.value.get("output_dir")
    if written is not None and written.value is not None:
        return tree
    return Entry(tree.value | {"output_dir": Entry(f"runs/{name}", "the recipe's name")}, tree.origin)


def _with_processes(tree: Entry, processes: int | None) -> Entry:
    if processes is None or _kind(tree) not in ("rlvr", "sft", "dpo", "pretrain"):
        return tree
    return merge(Entry({"launch": Entry({"processes": Entry(processes, LAUNCH)}, LAUNCH)}, LAUNCH), tree)


def _check(tree: Entry, own_file: str) -> tuple[Recipe | None, list[Problem]]:
    kind = _kind(tree)
    if kind == "pipeline":
        return check_pipeline(tree, lambda stage: _check(stage, own_file))
    if kind not in SCHEMAS:
        written = tree.value.get("kind", Entry(None, tree.origin))
        value = plain(written)
        found, hint = "missing" if value is None else show_value(value), did_you_mean(str(kind), SCHEMAS)
        return None, [Problem(written.origin, "kind", found, f"one of {', '.join(SCHEMAS)}", hint)]
    recipe, by_field = validate(SCHEMAS[kind], tree)
    trainer = plain(tree.value["trainer"]) if "trainer" in tree.value else None
    target = next((name for name in FIELDS if name == kind), None)
    if isinstance(trainer, dict) and target is not None:
        for field, *words in itertools.islice(check_trainer(trainer, target), MOST):
            path = ("trainer", field)
            by_field[path] = Problem(origin_of(tree, path), ".".join(path), *words)
    problems = list(by_field.values())
    wrong = {".".join(path) for path in by_field}
    for conflict in recipe.conflicts() if recipe is not None else ():
        if not any(_overlap(field, bad) for field in conflict.fields for bad in wrong):
            field, where = _nearest(conflict, tree, own_file)
            if conflict.missing_file and _shipped(where):
                continue
            problems.append(Problem(where, field, conflict.found, conflict.allowed))
    return recipe, problems


def _shipped(where: str) -> bool:
    """Whether a value is written in the library."""
    return Path(where.rpartition(":")[0]).resolve().is_relative_to(LIBRARY)


def _kind(tree: Entry) -> str:
    """The kind that a recipe names, or an empty string for what is no word."""
    written = tree.value.get("kind")
    return written.value if written is not None and isinstance(written.value, str) else ""


def _nearest(conflict: Conflict, tree: Entry, own_file: str) -> tuple[str, str]:
    """The field of a conflict that the reader wrote, rather than one from a parent."""
    places = [(field, origin_of(tree, field.split("."))) for field in conflict.fields]
    for field, where in places:
        if where == COMMAND_LINE or where.rpartition(":")[0] == own_file:
            return field, where
    return places[0]


def _overlap(field: str, other: str) -> bool:
    return field == other or field.startswith(f"{other}.") or other.startswith(f"{field}.")


def _in_order(problems: list[Problem]) -> list[Problem]:
    def key(problem: Problem) -> tuple[str, int]:
        file, _, line = problem.where.rpartition(":")
        return (file, int(line)) if line.isdigit() else (problem.where, 0)

    return sorted(dict.fromkeys(problems), key=key)


def _notes(recipe: Recipe) -> tuple[str, ...]:
    if isinstance(recipe, PipelineRecipe):
        return tuple(dict.fromkeys(note for stage in recipe.stages.values() for note in _notes(stage)))
    missing = [conflict for conflict in recipe.conflicts() if conflict.missing_file]
    notes = [f"{conflict.fields[0]}: {conflict.found}, {conflict.allowed}" for conflict in missing]
    if not isinstance(recipe, EvalRecipe | CompressionEvalRecipe) and installed_fields(recipe.kind) is None:
        library = "transformers" if recipe.kind in ("pretrain", "coverage") else "trl"
        notes.append(f"{library} is not installed: the names under `trainer:` were not checked")
    return tuple(notes)
