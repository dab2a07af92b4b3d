"""Arguments of LLMLingua's `compress_prompt` that callers may bring along."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

_WITHOUT_MEANING = frozenset(
    "iterative_size force_context_number use_sentence_level_filter use_context_level_filter use_token_level_filter "
    "keep_split keep_first_sentence keep_last_sentence keep_sentence_number high_priority_bonus context_budget "
    "token_budget_ratio condition_in_question reorder_context dynamic_context_compression_ratio condition_compare "
    "add_instruction rank_method context_segs context_segs_rate context_segs_compress target_context "
    "context_level_rate context_level_target_token return_word_label word_sep label_sep token_to_word drop_consecutive "
    "chunk_end_tokens strict_preserve_uncompressed".split()
)
"""Arguments of LLMLingua 0.2.2 that steer the dropping of tokens; here no token is dropped alone."""


def without_effect(arguments: Mapping[str, Any], own: Iterable[str]) -> list[str]:
    """A warning for each argument of LLMLingua's that means nothing here.

    Args:
        arguments: Arguments that the call does not have itself.
        own: Names that it has, for the message.

    Raises:
        TypeError: LLMLingua does not have an argument either.
    """
    for name in arguments:
        if name not in _WITHOUT_MEANING:
            from ..config.language.errors import did_you_mean

            hint = did_you_mean(name, [*own, "rate", "target_token", *_WITHOUT_MEANING])
            raise TypeError(f"compress_prompt has no argument {name!r}" + (f" · {hint}" if hint else ""))
    return [f"{name} has no effect here: no token is dropped alone" for name in arguments]
