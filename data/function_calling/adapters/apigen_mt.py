"""APIGen-MT, 5,000 verified dialogues of customer service (arXiv 2504.03601; kind ``apigen_mt``).

LLaMA-Factory's roles with ``system`` and ``tools``. The licence (CC-BY-NC-4.0) forbids commercial use,
and the Hub asks to accept it first. The layout is the one that two public converters of the set read; its
rows are gated and were not seen. Its two domains are those of tau-bench: do not train on it to report
tau-bench.
"""

from __future__ import annotations

from ...rows import Row
from .common import Place, convert
from .llama_factory import to_row

_PLACE = Place(
    "apigen_mt",
    {"train": ("apigen_mt/train", "apigen_mt/apigen-mt_5k", "apigen-mt_5k")},
    repo="Salesforce/APIGen-MT-5k",
)


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
    """Rows with ``messages`` and ``tools``.

    Args:
        split: ``train``.
        size: Number of rows, drawn with ``seed``; default all.
        seed: Seed of the draw.
        path: File to read; a relative path starts at ``root``, else at ``QUINCE_DATA``.
        root: Local folder to read instead of the Hub.
        revision: Commit on the Hub.
        skip_malformed: Leave out malformed records, with a warning, instead of stopping.

    Raises:
        RowError: If the records cannot be had or one is malformed.
    """
    records = _PLACE.records(split, root=root, path=path, revision=revision)
    return convert("apigen_mt", split, records, to_row, size=size, seed=seed, skip_malformed=skip_malformed)
