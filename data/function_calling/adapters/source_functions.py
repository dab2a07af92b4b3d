"""Source functions of public sets and of files of one's own: the options that they share, around one reader each."""

from __future__ import annotations

from collections.abc import Callable

from ...options import provides
from ...rows import Row
from .common import Convert, Place, convert, no_training

Source = Callable[..., list[Row]]


def training_source(place: Place, to_row: Convert, about: str, *columns: str) -> Source:
    """The source function of a public set to train on.

    Args:
        place: Where it is.
        to_row: Makes a row of a record.
        about: One sentence about the set.
        *columns: Columns of its rows that rewards read.
    """

    @provides(*columns, splits=place.splits, about=about)
    def rows(
        split: str,
        size: int | None = None,
        seed: int = 0,
        *,
        path: str | None = None,
        root: str | None = None,
        revision: str | None = None,
        skip_malformed: bool = False,
    ) -> list[Row]:
        """Rows of the set.

        Args:
            split: One of the set's splits.
            size: Number of rows, drawn with ``seed``; default all.
            seed: Seed of the draw.
            path: File to read instead of the set's usual one; ``{split}`` in it stands for the split. A relative path
                starts at ``root``, else at ``QUINCE_DATA``.
            root: Local folder to read instead of the Hub.
            revision: Commit on the Hub.
            skip_malformed: Leave out malformed records, with a warning, instead of stopping.

        Raises:
            RowError: If the records cannot be had or one is malformed.
        """
        records = place.records(split, root=root, path=path, revision=revision)
        return convert(place.kind, split, records, to_row, size=size, seed=seed, skip_malformed=skip_malformed)

    return rows


def evaluation_source(place: Place, to_row: Convert, reason: str, about: str) -> Source:
    """The source function of a public set that is there to measure with; `reason` says why in messages."""

    @provides("gold", splits=place.splits, about=about)
    def rows(
        split: str,
        size: int | None = None,
        seed: int = 0,
        *,
        path: str | None = None,
        root: str | None = None,
        revision: str | None = None,
    ) -> list[Row]:
        """Rows of the set; a training split is refused.

        Args:
            split: One of the set's splits.
            size: Number of rows, drawn with ``seed``; default all.
            seed: Seed of the draw.
            path: File to read instead of the set's usual one; relative to ``root``, else to ``QUINCE_DATA``.
            root: Local folder to read instead of the Hub.
            revision: Commit on the Hub.
        """
        no_training(place.kind, split, reason)
        records = place.records(split, root=root, path=path, revision=revision)
        return convert(place.kind, split, records, to_row, size=size, seed=seed)

    return rows


def file_source(kind: str, to_row: Convert, about: str) -> Source:
    """The source function of a layout that files of one's own may have."""

    @provides(about=about)
    def rows(
        split: str = "train",
        size: int | None = None,
        seed: int = 0,
        *,
        path: str,
        root: str | None = None,
        skip_malformed: bool = False,
    ) -> list[Row]:
        """Rows of a file.

        Args:
            split: Takes the place of ``{split}`` in ``path``, otherwise it is only a label.
            size: Number of rows, drawn with ``seed``; default all.
            seed: Seed of the draw.
            path: The file; a relative path starts at ``root``, else at ``QUINCE_DATA``.
            root: Folder of a relative path.
            skip_malformed: Leave out malformed records, with a warning, instead of stopping at the first.
        """
        records = Place(kind, {split: ()}).records(split, root=root, path=path)
        return convert(kind, split, records, to_row, size=size, seed=seed, skip_malformed=skip_malformed)

    return rows
