"""The `pipeline` recipe: stages that are recipes of their own, a later one starting where an earlier one ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field

from .compression_eval import CompressionEvalRecipe
from .dpo import DpoRecipe
from .evaluation import EvalRecipe
from .language.errors import Conflict, Problem, one_of
from .language.section import Section, folder_problem
from .language.tree import Entry, leaves, merge
from .pretrain import PretrainRecipe
from .rlvr import RlvrRecipe
from .sft import SftRecipe

STAGE = "stage:"
"""`model: {id: stage:sft}` is the model that the stage `sft` ends with."""

Stage = Annotated[
    RlvrRecipe | SftRecipe | DpoRecipe | PretrainRecipe | EvalRecipe | CompressionEvalRecipe,
    Field(discriminator="kind"),
]


class PipelineRecipe(Section):
    """Recipes that run one after the other.

    A stage is written as any recipe is: `extends` and what differs. `stage:NAME` in it stands for the model of an
    earlier stage, and its run folder is `<output_dir>/<stage>`.
    """

    kind: Literal["pipeline"]
    description: str = ""
    output_dir: str
    stages: dict[str, Stage] = Field(min_length=1)

    def conflicts(self) -> Iterator[Conflict]:
        """None: each stage is checked as a recipe of its own."""
        return iter(())


ReadParents = Callable[[Entry], tuple[Entry, list[Problem]]]
Check = Callable[[Entry], tuple[Any, list[Problem]]]


def with_stages(tree: Entry, read_parents: ReadParents) -> tuple[Entry, list[Problem]]:
    """Lay every stage over what it `extends`, and put the models of earlier stages in place of their names.

    Args:
        tree: The merged recipe, with its run folder.
        read_parents: Lays a stage over its parents.
    """
    stages = tree.value.get("stages")
    if stages is None or not isinstance(stages.value, dict) or not stages.value:
        where = stages.origin if stages else tree.origin
        return tree, [Problem(where, "stages", "missing", "a mapping of names to recipes")]
    whole: dict[str, Entry] = {}
    problems: list[Problem] = []
    for name, stage in stages.value.items():
        if (reason := folder_problem(name)) or name.casefold() in {other.casefold() for other in whole}:
            allowed = reason or "names that differ"
            problems.append(Problem(stage.origin, f"stages.{name}", "not a name of a stage", allowed))
            continue
        if not isinstance(stage.value, dict):
            wrong = Problem(stage.origin, f"stages.{name}", "not a mapping", "`extends: <recipe>` and what differs")
            return tree, [*problems, wrong]
        merged, found = read_parents(stage)
        folder = f"{tree.value['output_dir'].value}/{name}"
        merged = merge(merged, Entry({"output_dir": Entry(folder, "the stage's name")}, stage.origin))
        whole[name], more = _with_models(merged, list(whole), tree.value["output_dir"].value)
        problems += [_inside(name, problem) for problem in [*found, *more]]
    return Entry(tree.value | {"stages": Entry(whole, stages.origin)}, tree.origin), problems


def check_pipeline(tree: Entry, check: Check) -> tuple[PipelineRecipe | None, list[Problem]]:
    """Check every stage as a recipe of its own.

    Args:
        tree: From `with_stages`.
        check: Checks one recipe.
    """
    problems = _unknown_fields(tree)
    checked: dict[str, Any] = {}
    stages = tree.value.get("stages", Entry({}, tree.origin)).value
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        recipe, found = check(stage) if isinstance(stage.value, dict) else (None, [])
        problems += [_inside(name, problem) for problem in found]
        if recipe is not None:
            checked[name] = recipe
    if problems or not checked or len(checked) < len(stages):
        return None, problems
    described = tree.value.get("description", Entry("", tree.origin)).value
    folder = tree.value["output_dir"].value
    return PipelineRecipe(kind="pipeline", description=described, output_dir=folder, stages=checked), []


def _with_models(stage: Entry, earlier: list[str], folder: str) -> tuple[Entry, list[Problem]]:
    problems = []
    for path, leaf in list(leaves(stage)):
        if not isinstance(leaf.value, str) or not leaf.value.startswith(STAGE):
            continue
        wanted = leaf.value.removeprefix(STAGE)
        if wanted not in earlier:
            allowed = one_of(earlier) if earlier else "a name or a path: no stage comes before this one"
            problems.append(Problem(leaf.origin, ".".join(path), f"no earlier stage {wanted!r}", allowed))
        stage = _replaced(stage, path, Entry(f"{folder}/{wanted}/model", leaf.origin))
    return stage, problems


def _inside(name: str, problem: Problem) -> Problem:
    return replace(problem, field=f"stages.{name}.{problem.field}".rstrip("."))


def _replaced(entry: Entry, path: tuple[str, ...], new: Entry) -> Entry:
    if not path:
        return new
    key, rest = path[0], path[1:]
    if isinstance(entry.value, list):
        items = [_replaced(item, rest, new) if str(i) == key else item for i, item in enumerate(entry.value)]
        return Entry(items, entry.origin)
    return Entry({**entry.value, key: _replaced(entry.value[key], rest, new)}, entry.origin)


def _unknown_fields(tree: Entry) -> list[Problem]:
    known = list(PipelineRecipe.model_fields)
    unknown = [(key, entry) for key, entry in tree.value.items() if key not in known]
    return [Problem(entry.origin, key, "no such field", one_of(known)) for key, entry in unknown]
