"""Rows that say the same thing twice, and rows that an evaluation set has already."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_WORD = re.compile(r"\w+")


def duplicates(rows: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    """Rows whose users' texts and tools are those of an earlier row, as (row, earlier row).

    Case, punctuation, spacing, the order of the tools and, for generated rows, made-up names make no
    difference.
    """
    first: dict[tuple[Any, ...], int] = {}
    found = []
    for index, row in enumerate(rows):
        key = (*_user_words(row), "|", *_tools(row))
        earlier = first.setdefault(key, index)
        if earlier != index:
            found.append((index, earlier))
    return found


def overlaps(rows: Sequence[Mapping[str, Any]], questions: Sequence[str], words: int = 8) -> list[tuple[int, int, str]]:
    """Rows that share a run of words with an evaluation question, as (row, question, shared words).

    Args:
        rows: Rows to train on.
        questions: Questions of evaluation sets; one shorter than ``words`` counts as one run as a whole
            and is met by a user's text of just these words.
        words: Length of a run.
    """
    known: dict[tuple[str, ...], int] = {}
    for index, question in enumerate(questions):
        for run in _runs(_words(question), words):
            known.setdefault(run, index)
    found = []
    for index, row in enumerate(rows):
        shared = next((run for run in _row_runs(row, words) if run in known), None)
        if shared:
            found.append((index, known[shared], " ".join(shared)))
    return found


def _row_runs(row: Mapping[str, Any], words: int) -> Iterator[tuple[str, ...]]:
    for text in _user_texts(row):
        yield from _runs(_words(text), words)


def _runs(words: list[str], length: int) -> Iterator[tuple[str, ...]]:
    if 0 < len(words) < length:
        yield tuple(words)
    for start in range(len(words) - length + 1):
        yield tuple(words[start : start + length])


def _user_texts(row: Mapping[str, Any]) -> list[str]:
    messages = row.get("prompt") or row.get("messages") or ()
    return [message["content"] for message in messages if message["role"] == "user"]


def _user_words(row: Mapping[str, Any]) -> list[str]:
    return [word for text in _user_texts(row) for word in (*_words(text), "/")]


def _tools(row: Mapping[str, Any]) -> list[str]:
    ids = json.loads(row.get("provenance") or "{}").get("tool_ids")
    if ids is None:
        ids = [tool["function"]["name"] for tool in json.loads(row.get("tools") or "[]")]
    return sorted(ids)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())
