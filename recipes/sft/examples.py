"""Conversations as tokens and labels, and counts of those trained on and left out."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from ...data.chat.renderer import Rendered, Renderer
from ...data.rows import Row, RowError
from ..parts.loading import thin_out

if TYPE_CHECKING:
    from datasets import Dataset

    from ..config.sft import SftRecipe

IGNORED = -100
BATCH = 1000
"""Rows that are rendered together; also those among which packing looks for the best fit."""

Example = dict[str, list[int]]


@dataclass
class Counts:
    """How many conversations of a recipe are trained on, left out or cut.

    Attributes:
        conversations: Trained on.
        tokens: Their tokens.
        written: Tokens of those that the assistant writes; the loss is on them.
        dropped: Conversations left out because they are too long.
        truncated: Conversations cut at the end because they are too long.
        longest: Tokens of the longest conversation, before anything is cut.
    """

    conversations: int = 0
    tokens: int = 0
    written: int = 0
    dropped: int = 0
    truncated: int = 0
    longest: int = 0

    def __str__(self) -> str:
        share = self.written / max(1, self.tokens)
        text = f"{self.conversations:,} conversations, {self.tokens:,} tokens, {share:.0%} of them learned to write"
        cut = [f"{count:,} {what}" for count, what in ((self.dropped, "left out"), (self.truncated, "cut")) if count]
        return text + (f"; too long and {' or '.join(cut)} (longest: {self.longest:,})" if cut else "")


def load_conversations(recipe: SftRecipe) -> list[Row]:
    """Rows of all sources: those of `first`, then those of `data`, thinned out to their shares and mixed."""
    first = [row for source in recipe.first for row in source.load()]
    sources = thin_out(recipe.data, [source.load() for source in recipe.data])
    if not recipe.shuffle:
        return first + interleaved(sources)
    rows = [row for source in sources for row in source]
    random.Random(recipe.seed).shuffle(rows)
    return first + rows


def interleaved(sources: Sequence[Sequence[Row]]) -> list[Row]:
    """Rows of all sources spread evenly over the whole, each source in its own order."""
    placed = [((index + 0.5) / len(rows), row) for rows in sources for index, row in enumerate(rows)]
    return [row for _, row in sorted(placed, key=lambda item: item[0])]


def training_renderer(tokenizer: Any) -> Renderer:
    """A renderer whose template says what the assistant writes.

    A template without `{% generation %}` marks, as most models come with, is replaced by TRL's training template of
    the same family. The model is saved with the template it came with.

    Raises:
        RowError: If TRL knows none, or if the template leaves out the token that ends a turn.
    """
    from trl.chat_template_utils import (
        get_training_chat_template,
        has_generation_markers,
        is_chat_template_stop_token_trained,
    )

    fix = "name one with `model.chat_template`, for example hermes_signatures"
    if tokenizer.chat_template is None:
        raise RowError(f"model.chat_template · {tokenizer.name_or_path} has no chat template · {fix}")
    template = None
    if not has_generation_markers(tokenizer.chat_template):
        try:
            template = get_training_chat_template(tokenizer)
        except ValueError:
            raise RowError(
                f"model.chat_template · that of {tokenizer.name_or_path} does not say what the assistant writes "
                f"({{% generation %}} marks), and TRL has no training template like it · {fix}"
            ) from None
    if not is_chat_template_stop_token_trained(tokenizer, chat_template=template):
        raise RowError(
            "model.chat_template · what ends an assistant turn is outside of {% generation %}, or not one token of "
            f"{tokenizer.name_or_path}, so that the model would not learn to stop · move {{% endgeneration %}} behind "
            "it, or name a template of the model's family"
        )
    return Renderer(tokenizer, template)


def make_examples(rows: Sequence[Row], renderer: Renderer, limit: int | None, too_long: str) -> tuple[list, Counts]:
    """Examples of `input_ids` and `labels` (`[tokens]`, -100 where nothing is learned), and what was counted.

    Args:
        rows: SFT rows.
        renderer: From `training_renderer`.
        limit: Most tokens of an example; None for any number.
        too_long: `drop`, `truncate` or `refuse` what is longer.

    Raises:
        RowError: If a row has no assistant token, is too long and that is refused, or if nothing is left.
    """
    counts = Counts()
    examples = []
    for row, rendered in _rendered(rows, renderer):
        if not any(rendered.written):
            raise RowError(f"{row['id']} · messages · no token is the assistant's · end with an assistant turn")
        counts.longest = max(counts.longest, len(rendered.ids))
        if limit is not None and len(rendered.ids) > limit:
            if too_long == "refuse":
                raise RowError(
                    f"{row['id']} · {len(rendered.ids)} tokens · at most trainer.max_length = {limit} · "
                    "raise it, or set too_long: drop"
                )
            if too_long == "drop" or not any(rendered.written[:limit]):
                counts.dropped += 1
                continue
            counts.truncated += 1
        ids, written = rendered.ids[:limit], rendered.written[:limit]
        labels = [token if own else IGNORED for token, own in zip(ids, written, strict=True)]
        examples.append({"input_ids": ids, "labels": labels})
        counts.conversations += 1
        counts.tokens += len(ids)
        counts.written += sum(written)
    if not examples:
        raise RowError(
            f"data · none of {len(rows)} conversations has at most {limit} tokens · raise trainer.max_length"
        )
    return examples, counts


def _rendered(rows: Sequence[Row], renderer: Renderer) -> Iterator[tuple[Row, Rendered]]:
    for start in range(0, len(rows), BATCH):
        batch = rows[start : start + BATCH]
        for row in batch:
            if row.get("messages") is None:
                raise RowError(f"{row.get('id')} · messages · missing · SFT needs whole conversations")
        yield from zip(batch, renderer.render_all([(row, row["messages"]) for row in batch]), strict=True)


def make_dataset(examples: Sequence[Example], packing: bool, max_length: int | None, seed: int) -> Dataset:
    """A dataset in the order of the examples; packed, each thousand examples share their own sequences."""
    from datasets import Dataset, concatenate_datasets, disable_progress_bars
    from trl import pack_dataset

    disable_progress_bars()
    whole = Dataset.from_list(list(examples))
    if not packing:
        return whole
    windows = [whole.select(range(start, min(start + BATCH, len(whole)))) for start in range(0, len(whole), BATCH)]
    # Best fit decreasing puts long conversations first; shuffled, a step sees all lengths.
    return concatenate_datasets([pack_dataset(window, max_length).shuffle(seed=seed) for window in windows])


def summary(counts: Counts, sequences: int, packing: bool, max_length: int | None) -> dict[str, Any]:
    """The counts as they are kept in the run folder."""
    fill = {"fill": counts.tokens / (sequences * max_length)} if packing and max_length else {}
    return {**asdict(counts), "sequences": sequences, **fill}
