"""Thresholdout: a holdout that can be queried many times without being overfitted.

Dwork, Feldman, Hardt, Pitassi, Reingold and Roth 2015 (Science 349:636; arXiv 1506.02629, figure 1). A query is a mean,
over a development set and over the holdout. If the two agree within a noisy threshold, the answer is the development
set's and reveals nothing about the holdout; otherwise it is the holdout's with noise, and the budget shrinks by one.

We differ in that the state is kept in a file, since queries are days apart, and a repeated query gets its old answer.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from ...data.cache import write_atomic


class HoldoutError(ValueError):
    """A holdout that may not be queried, or whose state does not fit."""


@dataclass(frozen=True)
class Look:
    """The mean that may be reported, whether the two sets disagreed, and how many disagreements are left."""

    value: float
    overfit: bool
    budget: int


@dataclass
class Thresholdout:
    """A guard of one holdout.

    Attributes:
        threshold: Difference of the two means that counts as agreement.
        noise: Scale of the Laplace noise; the paper uses a quarter of the threshold.
        budget: Disagreements that may be answered.
        seed: Of the noise. Whoever knows it can remove the noise: this prevents accidents, not malice.
        margin: Noise on the threshold, redrawn after every disagreement; None before the first query.
    """

    threshold: float = 0.04
    noise: float = 0.01
    budget: int = 10
    seed: int = 0
    spent: int = 0
    draws: int = 0
    margin: float | None = None
    answers: dict[str, tuple[float, bool]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.threshold > 0 and self.noise > 0 and self.budget > 0):
            raise HoldoutError(
                f"holdout · threshold {self.threshold}, noise {self.noise}, budget {self.budget} · all are above 0"
            )

    def ask(self, question: str, development: float, holdout: float) -> Look:
        """Answer a query about two means; the same question gets the same answer again.

        Raises:
            HoldoutError: The budget is spent.
        """
        if question not in self.answers:
            if self.spent >= self.budget:
                raise HoldoutError(
                    f"holdout · {self.spent} disagreements answered, the whole budget · what follows would fit the "
                    "holdout: take fresh data, or report what was chosen before"
                )
            self.answers[question] = self._answer(development, holdout)
        value, overfit = self.answers[question]
        return Look(value, overfit, self.budget - self.spent)

    def _answer(self, development: float, holdout: float) -> tuple[float, bool]:
        if self.margin is None:
            self.margin = self._laplace(2)
        if abs(holdout - development) <= self.threshold + self.margin + self._laplace(4):
            return development, False
        self.spent += 1
        self.margin = self._laplace(2)
        return holdout + self._laplace(1), True

    def _laplace(self, times: float) -> float:
        """The next noise term; it depends only on the seed and its number, so that a stored state can continue."""
        self.draws += 1
        return float(np.random.default_rng([self.seed, self.draws]).laplace(0.0, times * self.noise))

    def write(self, path: Path) -> Path:
        """Write the state."""
        return write_atomic(path, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path, threshold: float, noise: float, budget: int, seed: int) -> Thresholdout:
        """Read the state from a file, or start a new one if there is none.

        Raises:
            HoldoutError: The file is broken, or has other settings.
        """
        fresh = cls(threshold, noise, budget, seed)
        if not path.exists():
            return fresh
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            data["answers"] = {name: (float(value), bool(spent)) for name, (value, spent) in data["answers"].items()}
            kept = cls(**data)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise HoldoutError(f"{path} · not the state of a holdout ({error}) · restore it") from None
        for name in ("threshold", "noise", "budget", "seed"):
            if getattr(kept, name) != getattr(fresh, name):
                found = f"{name} {getattr(fresh, name)}, it began with {getattr(kept, name)}"
                raise HoldoutError(f"{path} · {found} · keep what it began with, or take fresh data")
        return kept
