"""APIGen-MT, 5,000 verified dialogues of customer service (arXiv 2504.03601; kind ``apigen_mt``).

LLaMA-Factory's roles with ``system`` and ``tools``. The licence (CC-BY-NC-4.0) forbids commercial use,
and the Hub asks to accept it first. The layout is the one that two public converters of the set read; its
rows are gated and were not seen. Its two domains are those of tau-bench: do not train on it to report
tau-bench.
"""

from __future__ import annotations

from .common import Place
from .llama_factory import to_row
from .source_functions import training_source

_PLACE = Place(
    "apigen_mt",
    {"train": ("apigen_mt/train", "apigen_mt/apigen-mt_5k", "apigen-mt_5k")},
    repo="Salesforce/APIGen-MT-5k",
)


rows = training_source(
    _PLACE, to_row, "APIGen-MT: dialogues of customer service (hf.co/papers/2504.03601); gated, not for commercial use."
)
