"""Preference pairs as tokens: a prompt with its preferred and its rejected completion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from ...data.chat.renderer import Renderer
from ...data.rows import Row, RowError, check_messages
from ..parts.loading import thin_out

if TYPE_CHECKING:
    from ..config.data import Source

Pair = dict[str, list[int]]


@dataclass
class PairCounts:
    """How many pairs of a recipe are trained on, and left out because a completion is too long."""

    pairs: int = 0
    dropped: int = 0

    def __str__(self) -> str:
        return f"{self.pairs:,} pairs" + (f"; too long and left out: {self.dropped:,}" if self.dropped else "")


def load_pairs(sources: Sequence[Source]) -> list[Row]:
    """Rows with `prompt`, `chosen` and `rejected` (message lists) of all sources, thinned out to their shares."""
    return [row for rows in thin_out(sources, [pairs_of(source) for source in sources]) for row in rows]


def pairs_of(source: Source) -> list[Row]:
    """Preference rows of one source section; function calls are paired with their corruptions."""
    if source.kind != "function_calls":
        rows = source.load()
        for row in rows:
            for name in ("chosen", "rejected"):
                check_messages(row.get(name), f"{row['id']} · {name}")
        return rows
    from ...data.function_calling.check.corruptions import preference_rows

    return preference_rows(source.load(), source.seed)


def make_pairs(rows: Sequence[Row], renderer: Renderer, limit: int | None) -> tuple[list[Pair], PairCounts]:
    """Pairs of `prompt_ids`, `chosen_ids` and `rejected_ids`, and what was counted.

    Args:
        rows: From `load_pairs`.
        renderer: From `training_renderer`.
        limit: Most tokens of a prompt with an answer; None for any number.

    Raises:
        RowError: If a row has no prompt, an answer without an assistant token, or if no pair is left.
    """
    pairs, counts = [], PairCounts()
    for row in rows:
        if row.get("prompt") is None:
            raise RowError(f"{row['id']} · prompt · missing · DPO needs prompt, chosen and rejected")
        pair = _pair(row, renderer)
        longest = len(pair["prompt_ids"]) + max(len(pair["chosen_ids"]), len(pair["rejected_ids"]))
        if limit is not None and longest > limit:
            counts.dropped += 1
            continue
        counts.pairs += 1
        pairs.append(pair)
    if not pairs:
        raise RowError(f"data · none of {len(rows)} pairs has at most {limit} tokens · raise trainer.max_length")
    return pairs, counts


def _pair(row: Mapping[str, Any], renderer: Renderer) -> Pair:
    prompt = renderer.render(row, row["prompt"], add_generation_prompt=True).ids
    answers = [_up_to_stop(row, name, renderer) for name in ("chosen", "rejected")]
    # A template that writes a history differently once an answer follows ends the common part earlier.
    same = (len(set(tokens)) == 1 for tokens in zip(prompt, *answers, strict=False))
    shared = sum(takewhile(bool, same))
    chosen, rejected = (answer[shared:] for answer in answers)
    return {"prompt_ids": prompt[:shared], "chosen_ids": chosen, "rejected_ids": rejected}


def _up_to_stop(row: Mapping[str, Any], name: str, renderer: Renderer) -> list[int]:
    """Prompt and answer up to the last token that the assistant writes: the one that ends its turn."""
    rendered = renderer.render(row, [*row["prompt"], *row[name]])
    if True not in rendered.written:
        raise RowError(f"{row['id']} · {name} · no token is the assistant's · end with an assistant turn")
    return rendered.ids[: len(rendered.written) - rendered.written[::-1].index(True)]
