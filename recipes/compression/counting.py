"""Counters of tokens from whatever names a tokenizer: an object, a folder, a function."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...data.compression.budget import CompressionError, Counter
from ..parts.models import model_path

WORDS = "words"
"""Name of the counter that takes words and marks for tokens, where no tokenizer is named."""

_WORD_OR_MARK = re.compile(r"\w+|[^\w\s]")


def make_counters(readers: Any) -> dict[str, Counter]:
    """Counters by name.

    Args:
        readers: One reader or several, as a list or by name. A reader is a tokenizer of `transformers` or `tokenizers`,
            a folder with one, `tiny`, a function from text to a number of tokens, or a `Reader` of rewards.

    Raises:
        CompressionError: Something of another kind, or a folder without a tokenizer.
    """
    if isinstance(readers, Mapping):
        return {str(name): _counter(reader)[1] for name, reader in readers.items()}
    several = readers if isinstance(readers, Sequence) and not isinstance(readers, str) else [readers]
    counters: dict[str, Counter] = {}
    for name, counter in map(_counter, several):
        unique = name if name not in counters else f"{name}#{len(counters) + 1}"
        counters[unique] = counter
    return counters or {WORDS: count_words}


def count_words(text: str) -> int:
    """Words and marks of a text."""
    return sum(1 for _ in _WORD_OR_MARK.finditer(text))


def _counter(reader: Any) -> tuple[str, Counter]:
    if isinstance(reader, str | Path):
        return str(reader), _counter(_load(str(reader)))[1]
    name = str(getattr(reader, "name_or_path", "") or getattr(reader, "name", "") or type(reader).__name__)
    if hasattr(reader, "count") and hasattr(reader, "name"):
        return name, _of_valid(reader.count)
    if hasattr(reader, "encode_batch"):  # of `tokenizers`
        return name, _of_valid(lambda text: len(reader.encode(text, add_special_tokens=False).ids))
    if hasattr(reader, "convert_ids_to_tokens"):  # of `transformers`; it would warn of texts longer than its window
        return name, _of_valid(lambda text: len(reader(text, add_special_tokens=False, verbose=False)["input_ids"]))
    if callable(reader):
        return getattr(reader, "__name__", name), _of_valid(reader)
    raise CompressionError(
        f"readers · found {reader!r} · give a tokenizer, a folder with one, or a function that counts"
    )


def _of_valid(count: Callable[[str], int]) -> Counter:
    """A counter that half of a surrogate pair does not break: no tokenizer could encode it."""
    return lambda text: count(text.encode("utf-8", "ignore").decode()) if text else 0


def _load(name: str) -> Any:
    folder = Path(model_path(name)).expanduser()
    try:
        if (folder / "tokenizer.json").is_file():
            from tokenizers import Tokenizer

            return Tokenizer.from_file(str(folder / "tokenizer.json"))
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(folder if folder.is_dir() else name, local_files_only=True)
    except ImportError as error:
        raise CompressionError(
            f"readers · {name!r} needs the package {error.name!r} · install quince[train]"
        ) from error
    except (OSError, ValueError) as error:
        raise CompressionError(
            f"readers · no tokenizer in {name!r} · give a folder with tokenizer.json, or a model of the local hub cache"
        ) from error
