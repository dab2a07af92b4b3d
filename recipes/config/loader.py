"""Load a recipe: find it, follow `extends`, apply overrides, check everything, report at once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .checks import cross_checks
from .compression_eval import CompressionEvalRecipe
from .coverage import CoverageRecipe
from .dpo import DpoRecipe
from .evaluation import EvalRecipe
from .language.errors import Problem, RecipeErrors, did_you_mean, show_value
from .language.finding import Finding
from .language.library import LIBRARY, find_parent, find_recipe, recipe_name
from .language.reading import display_path, read_file, read_overrides
from .language.secrets import secret_problems
from .language.tree import COMMAND_LINE, Entry, merge, origin_of, plain
from .language.validation import validate
from .loaded import LoadedRecipe, Recipe, value_origins
from .pipeline import PipelineRecipe, check_pipeline, with_stages
from .pretrain import PretrainRecipe
from .rlvr import RlvrRecipe
from .sft import SftRecipe
from .trainer_arguments import check_trainer, installed_fields

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
    if problems and not tree.value:
        raise RecipeErrors(name_or_path, problems)
    changes, more = read_overrides(list(overrides))
    name = recipe_name(path)
    tree = _with_processes(_with_output_dir(merge(tree, changes), name), processes)
    problems += more
    if "kind" in tree.value and tree.value["kind"].value == "pipeline":
        tree, more = with_stages(tree, lambda stage: _over_parents(stage, path, ()))
        problems += more
    if secrets := secret_problems(tree):
        raise RecipeErrors(name_or_path, _in_order(secrets))  # alone, since other messages repeat values
    recipe, found = _check(tree, display_path(path))
    if problems or found or recipe is None:
        raise RecipeErrors(name_or_path, _in_order([*problems, *found]))
    return LoadedRecipe(name, path, recipe, value_origins(recipe, tree), _notes(recipe))


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
        problem = Problem(extends.origin, "extends", f"no such file {extends.value!r}", allowed, hint)
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
    kind = tree.value["kind"].value if "kind" in tree.value else None
    if processes is None or kind not in ("rlvr", "sft", "dpo", "pretrain"):
        return tree
    return merge(Entry({"launch": Entry({"processes": Entry(processes, LAUNCH)}, LAUNCH)}, LAUNCH), tree)


def _check(tree: Entry, own_file: str) -> tuple[Recipe | None, list[Problem]]:
    kind = tree.value.get("kind", Entry(None, tree.origin))
    if not isinstance(kind.value, str) or kind.value not in SCHEMAS:
        found = "missing" if kind.value is None else show_value(plain(kind))
        hint = did_you_mean(str(kind.value), SCHEMAS)
        return None, [Problem(kind.origin, "kind", found, f"one of {', '.join(SCHEMAS)}", hint)]
    if kind.value == "pipeline":
        return check_pipeline(tree, lambda stage: _check(stage, own_file))
    recipe, by_field = validate(SCHEMAS[kind.value], tree)
    trainer = plain(tree.value["trainer"]) if "trainer" in tree.value else None
    if isinstance(trainer, dict) and kind.value not in ("eval", "compression_eval"):
        for field, *words in check_trainer(trainer, kind.value):
            path = ("trainer", field)
            by_field[path] = Problem(origin_of(tree, path), ".".join(path), *words)
    problems = list(by_field.values())
    wrong = {".".join(path) for path in by_field}
    for finding in cross_checks(recipe) if recipe is not None else ():
        if not any(_overlap(field, bad) for field in finding.fields for bad in wrong):
            field, where = _nearest(finding, tree, own_file)
            problems.append(Problem(where, field, finding.found, finding.allowed))
    return recipe, problems


def _nearest(finding: Finding, tree: Entry, own_file: str) -> tuple[str, str]:
    """The field of a finding that the reader wrote, rather than one from a parent."""
    places = [(field, origin_of(tree, field.split("."))) for field in finding.fields]
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
    if isinstance(recipe, EvalRecipe | CompressionEvalRecipe) or installed_fields(recipe.kind) is not None:
        return ()
    library = "transformers" if recipe.kind in ("pretrain", "coverage") else "trl"
    return (f"{library} is not installed: the names under `trainer:` were not checked",)
