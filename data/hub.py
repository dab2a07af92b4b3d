"""Data sets from the Hugging Face Hub: one thin call, data only, at a named revision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import files
from .rows import RowError


def load_split(
    task: str,
    splits: Mapping[str, tuple[str, ...]],
    split: str,
    repo: str,
    *,
    configs: Sequence[str | None] = (None,),
    hub_splits: Mapping[str, str],
    root: str | None,
    revision: str | None,
) -> list[tuple[str, dict[str, Any]]]:
    """Records of one split of a public set, each with its place for messages: from a local folder, else the Hub.

    `splits` and `hub_splits` give our split's file stems and its name on the Hub; `configs` make up a split together.
    The local folder is `root`, else the one that ``QUINCE_DATA`` names.

    Raises:
        RowError: If the split is unknown or the records cannot be had.
    """
    if split not in splits:
        raise RowError(f"data · {task} · split · found {split!r} · one of {', '.join(splits)}")
    folder = files.data_root(root)
    if folder is not None:
        path = files.find_file(folder, splits[split], f"data · {task}[{split}]")
        return [(f"{path}:{number}", record) for number, record in files.read_records(path)]
    otherwise = f"or name a folder by root or {files.ROOT_VARIABLE}: {files.wanted(splits[split])}"
    records = []
    for config in configs:
        place = f"{repo}{f'/{config}' if config else ''}[{split}]"
        loaded = load_records(
            repo, config=config, split=hub_splits.get(split, split), revision=revision, otherwise=otherwise
        )
        records += [(f"{place}:{number}", record) for number, record in loaded]
    return records


def load_records(
    repo: str, *, config: str | None, split: str, revision: str | None, otherwise: str
) -> list[tuple[int, dict[str, Any]]]:
    """Records of one split with their number, counted from 1.

    Code of the repository is never run: only plain data files (parquet, JSON, CSV) load.

    Without `revision` the newest commit is read, which may change under a recipe; `otherwise` ends the error message.

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
