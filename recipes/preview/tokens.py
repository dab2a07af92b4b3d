"""`quince preview data` of `sft` and `dpo` recipes: the tokens of training, coloured by the loss mask."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

from rich.text import Text

from ...data.chat.renderer import Rendered, Renderer
from ..config.dpo import DpoRecipe
from ..dpo.pairs import make_pairs, pairs_of
from ..parts.models import load_tokenizer
from ..sft.examples import IGNORED, make_examples, training_renderer

if TYPE_CHECKING:
    from rich.console import Console

    from ...data.rows import Row
    from ..config.sft import SftRecipe

READ, LEARNED, AVOIDED = "dim", "not dim green", "not dim red"


def show_tokens(recipe: SftRecipe | DpoRecipe, rows: int, console: Console) -> None:
    """Print rows of every source: dim what the model reads, green what it learns to write, red what it unlearns."""
    renderer = training_renderer(load_tokenizer(recipe.model))
    show = _pair if isinstance(recipe, DpoRecipe) else _conversation
    for row in _first_rows(recipe, rows):
        title, text = show(row, renderer)
        console.print(Text(f"{row.get('task', '')} {row['id']}: {title}", style="bold"))
        console.print(text)
        console.print()


def _first_rows(recipe: SftRecipe | DpoRecipe, count: int) -> Iterator[Row]:
    for source in (*getattr(recipe, "first", ()), *recipe.data):
        few = source.model_copy(update={"size": min(count, source.size)}) if source.size else source
        yield from (pairs_of(few) if isinstance(recipe, DpoRecipe) else few.load())[:count]


def _conversation(row: Row, renderer: Renderer) -> tuple[str, Text]:
    (example,), counts = make_examples([row], renderer, None, "refuse")
    learned = [label != IGNORED for label in example["labels"]]
    text = _coloured(Rendered(example["input_ids"], learned), renderer.tokenizer)
    return f"{counts.tokens} tokens, {counts.written} of them learned", text


def _pair(row: Row, renderer: Renderer) -> tuple[str, Text]:
    (pair,), _ = make_pairs([row], renderer, None)
    parts = ((pair["prompt_ids"], READ), (pair["chosen_ids"], LEARNED), (pair["rejected_ids"], AVOIDED))
    text = Text("\n").join(Text(_decode(ids, renderer.tokenizer), style=style) for ids, style in parts)
    return f"{len(pair['prompt_ids'])} tokens read, preferred over {row.get('label', 'the other')}", text


def _coloured(rendered: Rendered, tokenizer: Any) -> Text:
    text = Text()
    pairs = zip(rendered.ids, rendered.written, strict=True)
    for learned, run in groupby(pairs, key=lambda pair: pair[1]):
        text.append(_decode([token for token, _ in run], tokenizer), style=LEARNED if learned else READ)
    return text


def _decode(ids: Sequence[int], tokenizer: Any) -> str:
    return str(tokenizer.decode(ids, skip_special_tokens=False))
