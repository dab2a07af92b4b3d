"""A checked recipe and its text."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, get_args

import yaml

from .compression_eval import CompressionEvalRecipe
from .coverage import CoverageRecipe
from .dpo import DpoRecipe
from .evaluation import EvalRecipe
from .language.reading import CoreDumper, read_text
from .language.tree import Entry, entry_at, leaves
from .pipeline import PipelineRecipe
from .pretrain import PretrainRecipe
from .rlvr import RlvrRecipe
from .sft import SftRecipe

Evaluation = EvalRecipe | CompressionEvalRecipe
Training = RlvrRecipe | SftRecipe | DpoRecipe | PretrainRecipe | CoverageRecipe
Recipe = Training | Evaluation | PipelineRecipe
R = TypeVar("R", bound=Recipe, covariant=True)
SCHEMAS: dict[str, type[Recipe]] = {
    get_args(schema.model_fields["kind"].annotation)[0]: schema for schema in get_args(Recipe)
}


@dataclass(frozen=True)
class LoadedRecipe(Generic[R]):
    """A checked recipe and where each of its values came from.

    Attributes:
        name: Name in the library (`rlvr/tiny_grpo`), or the stem of a file of your own.
        path: The file that was loaded.
        recipe: The checked recipe; which class it is depends on `kind`.
        origins: Dotted field to `file:line`, `command line` or `default`.
        notes: What could not be checked here, and why.
    """

    name: str
    path: Path
    recipe: R
    origins: dict[str, str]
    notes: tuple[str, ...] = ()

    def parts(self) -> tuple[LoadedRecipe[Recipe], ...]:
        """The stages of a pipeline as recipes of their own; any other recipe is its only part."""
        if not isinstance(self.recipe, PipelineRecipe):
            return (self,)
        return tuple(
            LoadedRecipe(f"{self.name}/{name}", self.path, stage, _below(self.origins, f"stages.{name}."))
            for name, stage in self.recipe.stages.items()
        )

    def to_yaml(self, origins: bool = False) -> str:
        """The resolved recipe, runnable as it is; with a comment per value that says its origin."""
        data = self.recipe.model_dump(mode="json")
        text = yaml.dump(data, Dumper=CoreDumper, sort_keys=False, allow_unicode=True, width=10_000)
        return _with_comments(text, self.origins) if origins else text


def _below(origins: dict[str, str], start: str) -> dict[str, str]:
    return {field.removeprefix(start): origin for field, origin in origins.items() if field.startswith(start)}


def value_origins(recipe: Recipe, tree: Entry) -> dict[str, str]:
    """Dotted field to where it was written, for every value of a recipe."""
    origins = {}
    for path, _ in leaves(as_entry(recipe.model_dump(mode="json"))):
        written = entry_at(tree, path)
        origins[".".join(path)] = written.origin if written else "default"
    return origins


def as_entry(value: object) -> Entry:
    """Plain values as a tree."""
    if isinstance(value, dict):
        return Entry({key: as_entry(item) for key, item in value.items()}, "default")
    if isinstance(value, list):
        return Entry([as_entry(item) for item in value], "default")
    return Entry(value, "default")


def _with_comments(text: str, origins: dict[str, str]) -> str:
    """Append `# origin` to the line on which each value starts, in one column."""
    tree, _ = read_text(text, "")
    comments = {int(leaf.origin[1:]): origins.get(".".join(path), "") for path, leaf in leaves(tree)}
    lines = text.splitlines()
    column = min(72, max(map(len, lines), default=0)) + 2
    return "".join(
        f"{line:<{column}}# {comments[number]}\n" if comments.get(number) else f"{line}\n"
        for number, line in enumerate(lines, start=1)
    )
