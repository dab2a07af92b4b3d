"""The base of every schema of a data source."""

from __future__ import annotations

from typing import Any, ClassVar

from .language.section import Positive, PositiveFloat, Section


class Source(Section):
    """What every source has.

    `columns` are the columns its rows carry for rewards, beside `id`, `task` and `prompt`.
    """

    columns: ClassVar[tuple[str, ...] | None] = ()

    kind: str
    split: str = "train"
    size: Positive | None = None
    """Rows to take; null takes all there are (generated tasks: their own default)."""
    seed: int = 0
    """Chooses and orders the rows."""
    share: PositiveFloat = 1.0
    """Weight of this source when several are mixed."""

    def arguments(self) -> dict[str, Any]:
        """The keyword arguments for `quince.data.sources.load_rows(kind, ...)`."""
        return self.model_dump(exclude={"kind", "share"}, exclude_none=True)


class Benchmark(Source):
    """A public set, read from the Hub or from a local folder."""

    root: str | None = None
    """Folder with the files; null reads `$QUINCE_DATA`, and the Hub where that is unset."""
