"""Results of readers on capsules, baselines and controls, passage by passage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .costs import Prices, Timing

FULL, NONE, CAPSULE, SWAPPED = "full", "none", "capsule", "swapped"
RANDOM_FACTS, ORACLE = "random_facts", "oracle"
FIRST, LAST, RANDOM_SENTENCES = "first", "last", "random_sentences"
SELF_INFORMATION, ZERO_SHOT, LLMLINGUA2 = "self_information", "zero_shot", "llmlingua2"

LABELS = {
    FULL: "full passage",
    CAPSULE: "capsule",
    ORACLE: "oracle",
    RANDOM_FACTS: "random facts",
    SELF_INFORMATION: "self-information",
    LLMLINGUA2: "LLMLingua-2",
    ZERO_SHOT: "zero-shot summary",
    RANDOM_SENTENCES: "random sentences",
    FIRST: "first tokens",
    LAST: "last tokens",
    SWAPPED: "swapped capsule",
    NONE: "no context",
}
"""Sources of context in the order of tables, with the names that tables show."""

BASELINES = (FIRST, LAST, RANDOM_SENTENCES, SELF_INFORMATION, ZERO_SHOT, LLMLINGUA2)
"""Each may use as many tokens as the capsule of the same passage has."""


@dataclass(frozen=True)
class Results:
    """One compressor on one set of passages; lists are `[passages]`, in the order of the rows.

    Attributes:
        readers: Names; the first one trained the compressor and its tokenizer measures the budget.
        right: Share of a passage's questions answered right, by source and reader.
        tokens: Length of the context in each reader's own tokenizer, by source and reader.
        written: Tokens of the capsule as it was written, before it was cut to the budget; first reader's tokenizer.
        grounded: Share of what the capsule says, as it was written, that its passage says; None for an empty one.
        similarity: Cosine of the capsule's (as it is read) and the passage's vectors by an encoder; empty without one.
        compressor_read: Tokens of the compressor's prompt, in its own tokenizer.
        compressor_written: Tokens it wrote, in its own tokenizer.
        timings: By reader; empty if nothing was timed.
        prices: As the recipe states them; None if it states none.
        notes: What could not be measured, and why.
    """

    ids: list[str]
    readers: list[str]
    right: dict[str, dict[str, list[float]]]
    tokens: dict[str, dict[str, list[int]]]
    budgets: list[int]
    written: list[int]
    stopped: list[bool]
    grounded: list[float | None]
    compressor_read: list[int]
    compressor_written: list[int]
    similarity: list[float] = field(default_factory=list)
    timings: dict[str, list[Timing]] = field(default_factory=dict)
    prices: Prices | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def sources(self) -> list[str]:
        """The sources that were read, in the order of tables."""
        return [source for source in LABELS if source in self.right]

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Results:
        """Return the results that `as_dict` described."""
        timings = {name: [Timing(**timing) for timing in of] for name, of in data["timings"].items()}
        prices = Prices(**data["prices"]) if data["prices"] else None
        return cls(**{**data, "timings": timings, "prices": prices})
