"""Public data sets, from a local folder or from the Hugging Face Hub: data only, at a named revision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

from . import files
from .rows import RowError


@dataclass(frozen=True)
class PublicSet:
    """Where the records of a public set are: in a local folder where one is named, else on the Hub.

    Attributes:
        task: Name of the source.
        splits: Split names, each with the file stems that may hold it in a local folder.
        repo: Hub repository.
        configs: Configurations of the repository that make up a split together; `{split}` stands for our split.
        hub_splits: Our split name to the repository's, where they differ.
        revision: Commit of the repository; None is the newest.
        about: One sentence about the set.
    """

    task: str
    splits: Mapping[str, tuple[str, ...]]
    repo: str
    _: KW_ONLY
    configs: tuple[str | None, ...] = (None,)
    hub_splits: Mapping[str, str] = field(default_factory=dict)
    revision: str | None = None
    about: str = ""

    def records(self, split: str, root: str | None, revision: str | None) -> list[tuple[str, dict[str, Any]]]:
        """Records of a split, each with its place for messages.

        Raises:
            RowError: If the split is unknown or the records cannot be had.
        """
        if split not in self.splits:
            raise RowError(f"data · {self.task} · split · found {split!r} · one of {', '.join(self.splits)}")
        stems = self.splits[split]
        folder = files.data_root(root)
        if folder is not None:
            path = files.find_file(folder, stems, f"data · {self.task}[{split}]")
            return [(f"{path}:{number}", record) for number, record in files.read_records(path)]
        found = []
        for config in (config and config.format(split=split) for config in self.configs):
            loaded = load_records(
                self.repo,
                config=config,
                split=self.hub_splits.get(split, split),
                revision=revision or self.revision,
                otherwise=f"or name a folder by root or {files.ROOT_VARIABLE}: {files.wanted(stems)}",
            )
            place = f"{self.repo}{f'/{config}' if config else ''}[{split}]"
            found += [(f"{place}:{number}", record) for number, record in loaded]
        return found


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
