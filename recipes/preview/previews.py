"""`quince preview`: real rows as the model sees them, and verdicts on known completions and on the model's own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ...data.chat.renderer import render_prompt
from ...data.rows import Row
from ...eval.engines.base import Sampling
from ...rewards.answers.countdown import Countdown
from ...rewards.answers.math import MathAnswer
from ...rewards.answers.text import ExactMatch
from ...rewards.base import Reward, Verdict
from ...rewards.function_calling.function_call import FunctionCall
from ...rewards.sql_execution.sql_reward import SqlExecution
from ..config.compression_eval import CompressionEvalRecipe
from ..config.coverage import CoverageRecipe
from ..config.dpo import DpoRecipe
from ..config.evaluation import EvalRecipe
from ..config.pipeline import PipelineRecipe
from ..config.pretrain import PretrainRecipe
from ..config.rewards import can_judge
from ..config.rlvr import RlvrRecipe
from ..config.sft import SftRecipe
from ..config.trainer_arguments import trainer_value
from ..coverage.overview import preview_lines

if TYPE_CHECKING:
    from ..config.data import Source
    from ..config.loaded import LoadedRecipe, Recipe

Example = tuple[Row, list[Any]]
OUTCOME_STYLES = {
    "correct": "green",
    "wrong": "default",
    "unparseable": "yellow",
    "timeout": "red",
    "error": "red",
    "skipped": "dim",
}
# Their golds and near misses stand in for those of a reward that has none, such as `format`.
_OTHERS: tuple[Reward, ...] = (ExactMatch(), MathAnswer(), Countdown(), FunctionCall(), SqlExecution())


def show_data(loaded: LoadedRecipe[Recipe], rows: int) -> None:
    """Print rows of every source: dim what the model reads, green what it writes (in RL a gold completion)."""
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
    from ..parts.models import load_tokenizer

    tokenizer = load_tokenizer(recipe.model)
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
    """Print the verdicts of each reward on gold, empty and near-miss completions, and on a model's.

    Args:
        loaded: From `load_recipe`.
        rows: Of each source.
        samples: Completions of the model for each row.
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
        judged = [(row, rewards) for (row, _), rewards in zip(examples, judges, strict=True)]
        _show_samples(recipe, judged, samples, model, console)


def _show_samples(
    recipe: RlvrRecipe | EvalRecipe,
    judged: Sequence[tuple[Row, Sequence[Reward]]],
    samples: int,
    model: str | None,
    console: Console,
) -> None:
    """Print a model's completions of each row, how often it wrote them, and their verdicts.

    Args:
        recipe: Says how completions are sampled; its own model writes them where no other is named.
        judged: Rows, each with the rewards that judge it.
        samples: Completions of each row.
        model: Path or hub id.
        console: To print on.
    """
    from ...eval.engines.transformers import TransformersEngine
    from ..parts.models import best_device, load_policy, load_tokenizer

    section = recipe.model if model is None else recipe.model.model_copy(update={"id": model, "revision": None})
    tokenizer = load_tokenizer(section)
    engine = TransformersEngine(load_policy(section).to(best_device()), tokenizer)
    sampling = _sampling(recipe, samples)
    prompts = [render_prompt(row, tokenizer, **_template_options(recipe)) for row, _ in judged]
    table = Table(
        "row", "×", "answer", "reward", "value", "outcome", "detail", box=None, title=f"answers of {section.id}"
    )
    for number, ((row, rewards), found) in enumerate(zip(judged, engine.generate(prompts, sampling), strict=True), 1):
        counts = Counter(completion.text for completion in found)
        texts = [text for text, _ in counts.most_common()]
        for reward in rewards:
            for text, verdict in zip(texts, reward.judge_batch(texts, [row] * len(texts)), strict=True):
                name = f"{number} {row['task']}"
                table.add_row(name, str(counts[text]), Text(text or "(empty)"), reward.name, *cells(verdict))
    console.print(table)


def _sampling(recipe: RlvrRecipe | EvalRecipe, samples: int) -> Sampling:
    """As in training (at most 512 tokens where the recipe sets no limit), or as in the first suite."""
    if not isinstance(recipe, RlvrRecipe):
        own = recipe.suites[0].sampling
        return Sampling(n=samples, temperature=own.temperature or 1.0, top_p=own.top_p, max_tokens=own.max_tokens)
    names = ("temperature", "top_p", "max_completion_length")
    temperature, top_p, tokens = (trainer_value(recipe.trainer, name) for name in names)
    return Sampling(samples, temperature or 1.0, top_p or 1.0, tokens or 512, recipe.seed)


def cells(verdict: Verdict) -> tuple[str, Text, str]:
    """Value, outcome in its colour, and detail of a verdict."""
    value = "not judged" if verdict.value is None else f"{verdict.value:g}"
    return value, Text(verdict.outcome, style=OUTCOME_STYLES[verdict.outcome]), verdict.detail


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


def _template_options(recipe: RlvrRecipe | EvalRecipe | CompressionEvalRecipe) -> dict[str, Any]:
    if not isinstance(recipe, RlvrRecipe):
        return {}
    options = recipe.trainer.get("chat_template_kwargs") or {}
    return options if isinstance(options, dict) else json.loads(options)


def gold_answer(row: Mapping[str, Any], rewards: Sequence[Reward]) -> str | None:
    """A gold completion, from the first reward that has one; None where none has."""
    golds = (reward.gold_completion(row) for reward in _readers(row, rewards))
    return next((gold for gold in golds if gold is not None), None)


def trial_answers(row: Mapping[str, Any], rewards: Sequence[Reward]) -> dict[str, str]:
    """Completions to try rewards on, by what they are."""
    near_miss = next((miss for reward in _readers(row, rewards) for miss in reward.near_misses(row)), None)
    answers = {"gold": gold_answer(row, rewards), "empty": "", "near miss": near_miss}
    return {name: answer for name, answer in answers.items() if answer is not None}


def _readers(row: Mapping[str, Any], rewards: Sequence[Reward]) -> list[Reward]:
    """Rewards whose columns a row has, those given first."""
    return [r for r in (*rewards, *_OTHERS) if all(row.get(column) is not None for column in r.columns)]
