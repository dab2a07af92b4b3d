"""`quince preview`: real rows as the model sees them, what the rewards say to known answers and to the model's own."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...data.chat.renderer import render_prompt
from ...data.rows import Row
from ..config.compression_eval import CompressionEvalRecipe
from ..config.coverage import CoverageRecipe
from ..config.dpo import DpoRecipe
from ..config.evaluation import EvalRecipe
from ..config.pipeline import PipelineRecipe
from ..config.pretrain import PretrainRecipe
from ..config.rewards import can_judge
from ..config.rlvr import RlvrRecipe
from ..config.sft import SftRecipe
from ..coverage.overview import preview_lines
from .cells import cells
from .trial_answers import gold_answer, trial_answers

if TYPE_CHECKING:
    from ...rewards.base import Reward
    from ..config.data import Source
    from ..config.loaded import LoadedRecipe, Recipe

Example = tuple[Row, list[Any]]


def show_data(loaded: LoadedRecipe[Recipe], rows: int) -> None:
    """Print rows of every source: dim what the model reads, green what it writes.

    In RL the model writes its own answer; a gold one stands in for it here.
    """
    console = Console(highlight=False)
    recipe = loaded.recipe
    if isinstance(recipe, PretrainRecipe):
        for row in (row for source in recipe.mixture for row in source.load(size=rows)):
            console.print(Text(f"{row['task']} {row['id']}", style="bold"))
            console.print(_coloured(row["messages"][:-1], row["messages"][-1]["content"]))
        return
    if isinstance(recipe, CoverageRecipe):
        for line in preview_lines(recipe, rows):
            console.print(line)
        return
    if isinstance(recipe, SftRecipe | DpoRecipe):
        from .tokens import show_tokens

        show_tokens(recipe, rows, console)
        return
    if isinstance(recipe, PipelineRecipe):
        raise AssertionError("a pipeline is shown stage by stage")
    tokenizer = _tokenizer(recipe)
    for row, sections in _examples(recipe, rows):
        prompt = render_prompt(row, tokenizer, **_template_options(recipe))
        console.print(Text(f"{row['task']} {row['id']}: {len(prompt)} prompt tokens", style="bold"))
        text = Text(tokenizer.decode(prompt), style="dim")
        console.print(
            text.append(gold_answer(row, [section.build() for section in sections]) or "", style="not dim green")
        )
        others = {name: value for name, value in row.items() if name not in ("id", "task", "prompt")}
        console.print(Text(f"for rewards: {json.dumps(others, ensure_ascii=False, default=str)}\n", style="blue"))


def show_rewards(loaded: LoadedRecipe[Recipe], rows: int, samples: int = 0, model: str | None = None) -> None:
    """Print a table of what each reward gives to gold, empty and near-miss answers, and to a model's.

    Args:
        loaded: From `load_recipe`.
        rows: Of each source.
        samples: Answers of the model to each row.
        model: Path or hub id; without it the recipe's model.
    """
    recipe = loaded.recipe
    if not isinstance(recipe, RlvrRecipe | EvalRecipe) or not getattr(recipe, "suites", True):
        print(f"{loaded.name} has no rewards")
        return
    if samples:
        from ..run.progress import quiet_libraries

        quiet_libraries()
    examples = list(_examples(recipe, rows))
    judges = _judges(recipe, [sections for _, sections in examples], reads=samples > 0)
    table = Table("row", "answer", "reward", "value", "outcome", "detail", box=None)
    for number, ((row, _), rewards) in enumerate(zip(examples, judges, strict=True), start=1):
        for reward in rewards:
            for name, answer in trial_answers(row, rewards).items():
                verdict = reward.judge_batch([answer], [row])[0]
                table.add_row(f"{number} {row['task']}", name, reward.name, *cells(verdict))
    console = Console(highlight=False)
    console.print(table)
    if samples:
        from .completions import show_samples

        judged = [(row, rewards) for (row, _), rewards in zip(examples, judges, strict=True)]
        show_samples(recipe, judged, samples, model, _template_options(recipe), console)


def _judges(recipe: RlvrRecipe | EvalRecipe, sections: Sequence[Sequence[Any]], reads: bool) -> list[list[Reward]]:
    """The rewards of every row, each made once; with `reads` those that ask readers get the recipe's."""
    found = {id(section): section for group in sections for section in group}
    rewards = [section.build() for section in found.values()]
    if reads and recipe.readers:
        from ..parts.loading import with_readers

        rewards = with_readers(rewards, recipe, ())
    made = dict(zip(found, rewards, strict=True))
    return [[made[id(section)] for section in group] for group in sections]


def _examples(recipe: RlvrRecipe | EvalRecipe | CompressionEvalRecipe, count: int) -> Iterator[Example]:
    """The first rows of every source, each with the reward sections that judge it."""
    if isinstance(recipe, RlvrRecipe):
        pairs: list[tuple[Source, list[Any]]] = [(source, list(recipe.rewards)) for source in recipe.data]
    elif isinstance(recipe, CompressionEvalRecipe):
        pairs = [(source, []) for source in recipe.data]
    else:
        pairs = [(source, [suite.reward]) for suite in recipe.suites for source in suite.data]
    for source, sections in pairs:
        readable = [section for section in sections if can_judge(section, source)]
        for row in source.load()[:count]:
            yield row, readable


def _coloured(read: list[dict[str, Any]], written: str) -> Text:
    text = Text("\n".join(f"{message['role']}: {message['content']}" for message in read), style="dim")
    return text.append(f"\n{written}\n", style="not dim green")


def _tokenizer(recipe: RlvrRecipe | EvalRecipe | CompressionEvalRecipe) -> Any:
    from ..parts.models import load_tokenizer

    return load_tokenizer(recipe.model)


def _template_options(recipe: RlvrRecipe | EvalRecipe | CompressionEvalRecipe) -> dict[str, Any]:
    if not isinstance(recipe, RlvrRecipe):
        return {}
    options = recipe.trainer.get("chat_template_kwargs") or {}
    return options if isinstance(options, dict) else json.loads(options)
