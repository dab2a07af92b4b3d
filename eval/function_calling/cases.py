"""One row with one answer as the scorer judged it: every figure of a report is counted from these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

NO_DECISION = "none"


@dataclass(frozen=True)
class Case:
    """How the answer to one row was scored.

    Attributes:
        language: Of the user, "" where it is not known.
        split: What is held out, "" where the row does not say.
        found: The decision of the answer, "none" where it has none; `wanted` where it is accepted as well.
        right: Whether all of it is right, read strictly.
        tolerant: As `right`, but read in any wire format and with repairs.
        arguments: By class, right arguments and how many there are, over the calls of a right tool.
        asked: Whether it asks for a missing slot; None if it does not ask or nothing is missing.
        language_right: Whether its text is in the user's language; None without text to tell by.
        error: Label of its first error, "" if there is none.
        sampled: Share of right samples of the row, None if there are none.
        trivial: By trivial baseline, whether its answer is right.
    """

    id: str
    scenario: str
    language: str
    split: str
    wanted: str
    found: str
    right: bool
    tolerant: bool
    arguments: dict[str, tuple[int, int]] = field(default_factory=dict)
    asked: bool | None = None
    calls: bool = False
    invented_tool: bool = False
    language_right: bool | None = None
    problems: tuple[str, ...] = ()
    error: str = ""
    sampled: float | None = None
    trivial: dict[str, bool] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Case:
        """The case that `as_dict` described."""
        arguments = {name: (right, of) for name, (right, of) in data["arguments"].items()}
        return cls(**{**data, "arguments": arguments, "problems": tuple(data["problems"])})
