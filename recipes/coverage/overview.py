"""What `plan` and `preview` print for a coverage recipe, without torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.text import Text

from ...data.compositional.generate import Task, generate
from ...data.compositional.sequences import IGNORED, to_sequences, vocabulary
from ..config.trainer_arguments import trainer_value
from ..parts.units import readable

if TYPE_CHECKING:
    from ..config.coverage import CoverageRecipe
    from ..config.loaded import LoadedRecipe, Recipe


def task_of(recipe: CoverageRecipe, rows: int) -> Task:
    """Settings of the data set with this many training rows."""
    return Task(rows=rows, seed=recipe.seed, **recipe.data.model_dump(exclude={"rows", "target"}))


def plan_lines(loaded: LoadedRecipe[Recipe], recipe: CoverageRecipe) -> Iterator[tuple[str, str]]:
    """Label and text of each line of the plan."""
    from ...eval.coverage.scaling import KAPPA_NEEDED, kappa, rows_for

    data, sizes = recipe.data, recipe.architecture
    task = task_of(recipe, data.rows[0])
    length = task.program.slots + (1 if data.target == "direct" else len(task.program.hops)) - 1
    weights = parameters(recipe, length)
    micro, accumulation = (
        trainer_value(recipe.trainer, name, "coverage")
        for name in ("per_device_train_batch_size", "gradient_accumulation_steps")
    )
    yield "recipe", f"{loaded.name}: {recipe.description}"
    shape = f"{sizes.layers} x {sizes.width}, {readable(weights, ' parameters')}"
    yield "model", f"GPT-2 architecture from scratch, {shape}"
    yield "data", f"{data.family} of {data.values} values, {data.target}, {', '.join(map(str, data.rows))} rows"
    if data.family == "two_hop":
        contexts = ", ".join(f"{kappa(rows, data.values, data.seen):.1f}" for rows in data.rows)
        needed = math.ceil(rows_for(KAPPA_NEEDED, data.values, data.seen))
        yield "kappa", f"{contexts} contexts shared by two equivalent fragments; {KAPPA_NEEDED:g} take {needed} rows"
    batch = f"{micro * accumulation} rows of {length} tokens each"
    yield "steps", f"at most {recipe.trainer['max_steps']} for each size, {batch}"
    at_once = min(recipe.processes, len(data.rows))
    yield "runs", f"{len(data.rows)} model{'s' if len(data.rows) > 1 else ''}, {at_once} at a time"
    yield "disk", f"{readable(4 * weights * len(data.rows))} for the final models"


def parameters(recipe: CoverageRecipe, length: int) -> int:
    """Weights of the model: token and position embeddings, blocks with biases, and the last norm."""
    sizes, data = recipe.architecture, recipe.data
    block = 12 * sizes.width**2 + 13 * sizes.width
    tokens = len(vocabulary(data.values, data.target))
    return (tokens + length + 2) * sizes.width + sizes.layers * block


def preview_lines(recipe: CoverageRecipe, count: int) -> Iterator[Text]:
    """The first training rows and one held-out row of each type; input tokens are dim, learned ones green."""
    data = generate(task_of(recipe, recipe.data.rows[0]))
    tokens = vocabulary(recipe.data.values, recipe.data.target)
    parts = {"train": data.train.take(slice(count))}
    parts |= {f"type_{kind}": rows.take(slice(1)) for kind, rows in data.test.items()}
    for name, rows in parts.items():
        made = to_sequences(rows, recipe.data.values, recipe.data.target)
        for read, labels in zip(made.tokens.tolist(), made.labels.tolist(), strict=True):
            line = Text(f"{name:<8}", style="bold").append(tokens[read[0]], style="not bold dim")
            for shown, learned in zip([*read[1:], labels[-1]], labels, strict=True):
                line.append(tokens[shown], style="not bold dim" if learned == IGNORED else "not bold green")
            yield line
