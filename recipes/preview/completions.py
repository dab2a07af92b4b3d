"""`quince preview rewards --samples`: what the rewards say to answers of the model itself, before it is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from ...data.chat.renderer import render_prompt
from ...eval.engines.base import Sampling
from ..config.rlvr import RlvrRecipe
from ..config.trainer_arguments import trainer_value
from ..parts.models import best_device, load_policy, load_tokenizer
from .cells import cells

if TYPE_CHECKING:
    from rich.console import Console

    from ...data.rows import Row
    from ...rewards.base import Reward
    from ..config.evaluation import EvalRecipe

_NAMES = ("temperature", "top_p", "max_completion_length")
_TOKENS = 512
"""Of an answer, where the recipe does not limit it."""


def show_samples(
    recipe: RlvrRecipe | EvalRecipe,
    judged: Sequence[tuple[Row, Sequence[Reward]]],
    samples: int,
    model: str | None,
    template_options: Mapping[str, Any],
    console: Console,
) -> None:
    """Print a few answers of a model to each row, how often it gave them, and their verdicts.

    Args:
        recipe: Says how answers are drawn; its own model answers where no other is named.
        judged: Rows, each with the rewards that judge it.
        samples: Answers to each row.
        model: Path or hub id.
        template_options: Of the chat template.
        console: To print on.
    """
    from ...eval.engines.transformers import TransformersEngine

    section = recipe.model if model is None else recipe.model.model_copy(update={"id": model, "revision": None})
    tokenizer = load_tokenizer(section)
    engine = TransformersEngine(load_policy(section).to(best_device()), tokenizer)
    sampling = _sampling(recipe, samples)
    prompts = [render_prompt(row, tokenizer, **template_options) for row, _ in judged]
    table = Table(
        "row", "×", "answer", "reward", "value", "outcome", "detail", box=None, title=f"answers of {section.id}"
    )
    for number, ((row, rewards), found) in enumerate(zip(judged, engine.generate(prompts, sampling), strict=True), 1):
        _add(table, f"{number} {row['task']}", Counter(completion.text for completion in found), rewards, row)
    console.print(table)


def _add(table: Table, name: str, answers: Counter[str], rewards: Sequence[Reward], row: Mapping[str, Any]) -> None:
    texts = [text for text, _ in answers.most_common()]
    for reward in rewards:
        for text, verdict in zip(texts, reward.judge_batch(texts, [row] * len(texts)), strict=True):
            table.add_row(name, str(answers[text]), Text(text or "(empty)"), reward.name, *cells(verdict))


def _sampling(recipe: RlvrRecipe | EvalRecipe, samples: int) -> Sampling:
    """As in training, or as in the first suite of an evaluation."""
    if not isinstance(recipe, RlvrRecipe):
        own = recipe.suites[0].sampling
        return Sampling(n=samples, temperature=own.temperature or 1.0, top_p=own.top_p, max_tokens=own.max_tokens)
    temperature, top_p, tokens = (trainer_value(recipe.trainer, name) for name in _NAMES)
    return Sampling(samples, temperature or 1.0, top_p or 1.0, tokens or _TOKENS, recipe.seed)
