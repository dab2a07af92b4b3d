"""Rows to token ids, through the chat template of the tokenizer and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from .rows import RowError


def render_prompt(row: Mapping[str, Any], tokenizer: Any, **template_kwargs: Any) -> list[int]:
    """Token ids of a row's prompt, ending where the assistant is to speak.

    Args:
        row: A row with ``prompt``; ``tools`` (a JSON string) is parsed and given to the template.
        tokenizer: A transformers tokenizer with a chat template.
        **template_kwargs: More arguments of the template, for example ``enable_thinking=False``.

    Raises:
        RowError: If the row has no ``prompt``.
    """
    if row.get("prompt") is None:
        raise RowError(f"{row.get('id')} · prompt · missing · use render_messages for SFT rows")
    return _ids(tokenizer, row["prompt"], row, add_generation_prompt=True, **template_kwargs)


def render_messages(row: Mapping[str, Any], tokenizer: Any, **template_kwargs: Any) -> list[int]:
    """Token ids of the whole conversation of an SFT row (``messages``).

    Raises:
        RowError: If the row has no ``messages``.
    """
    if row.get("messages") is None:
        raise RowError(f"{row.get('id')} · messages · missing · use render_prompt for RL rows")
    return _ids(tokenizer, row["messages"], row, add_generation_prompt=False, **template_kwargs)


def _ids(tokenizer: Any, messages: list[dict[str, Any]], row: Mapping[str, Any], **kwargs: Any) -> list[int]:
    tools = json.loads(row["tools"]) if row.get("tools") else None
    text = tokenizer.apply_chat_template(messages, tools=tools, tokenize=False, **kwargs)
    # The template writes every special token itself; a second BOS would shift the model.
    return list(tokenizer(text, add_special_tokens=False)["input_ids"])
