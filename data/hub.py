"""Data sets from the Hugging Face Hub: one thin call, data only, at a named revision."""

from __future__ import annotations

from typing import Any

from .rows import RowError


def load_records(
    repo: str, *, config: str | None, split: str, revision: str | None, otherwise: str
) -> list[tuple[int, dict[str, Any]]]:
    """Records of one split with their number, counted from 1.

    Code of the repository is never run: only plain data files (parquet, JSON, CSV) load.

    Args:
        repo: Repository name, for example ``openai/gsm8k``.
        config: Name of the configuration, if the repository has several.
        split: Split of the repository.
        revision: Commit to read; None is the newest, which may change under a recipe.
        otherwise: What to do without a connection; ends the error message.

    Raises:
        RowError: If ``datasets`` is not installed or the split cannot be had.
    """
    place = f"hub · {repo}{f'/{config}' if config else ''}[{split}]"
    try:
        from datasets import load_dataset
    except ImportError:
        raise RowError(f"{place} · found no package datasets · pip install 'quince[train]'") from None
    try:
        table = load_dataset(repo, config, split=split, revision=revision)
    # What fails differs by cause (no network, no such repository, bad file) and by library version;
    # for the reader it is one thing: the data did not come, and here is what to do.
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise RowError(f"{place} · found {reason} · {otherwise}") from error
    return list(enumerate(table.to_list(), start=1))
