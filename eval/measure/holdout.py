"""Many looks at one holdout: Thresholdout, which answers from the holdout only as often as a budget allows.

Dwork, Feldman, Hardt, Pitassi, Reingold and Roth 2015 (Science 349:636; arXiv 1506.02629, figure 1). Each question is a
mean, asked of a development set and of the holdout. Where the two agree within a noisy threshold the answer is that of
the development set and says nothing new of the holdout; where they do not, it is the holdout's with noise, and one of
the budget is spent. Choosing among models by such answers does not fit the holdout.

We differ in what is kept: the state lies in a file, since looks are days apart, and an equal question gets its old
answer again without another draw.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from ...data.cache import write_atomic


class HoldoutError(ValueError):
    """A holdout that may not be asked, or a state that is not its own."""


@dataclass(frozen=True)
class Look:
    """One answer.

    Attributes:
        value: What may be known.
        overfit: Whether development set and holdout disagreed, so that the budget was touched.
        budget: Disagreements left.
    """

    value: float
    overfit: bool
    budget: int


@dataclass
class Thresholdout:
    """A guard of one holdout.

    Attributes:
        threshold: Difference of the two means that is let pass, in the unit of the question.
        noise: Scale of the Laplace noise; the paper uses a quarter of the threshold.
        budget: Disagreements that may be answered.
        seed: Of the noise. Who knows it can undo the noise: it guards against accident, not against malice.
        spent: Disagreements answered.
        draws: Noise terms drawn.
        margin: Noise on the threshold, renewed with every disagreement; None before the first question.
        answers: By question.
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
        """Return what may be known of a mean.

        Args:
            question: Names it; asked again it has the same answer.
            development: The mean on the development set.
            holdout: The mean on the holdout.

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
        """Return the next noise term: each depends on the seed and on its number alone, so that a file goes on."""
        self.draws += 1
        return float(np.random.default_rng([self.seed, self.draws]).laplace(0.0, times * self.noise))

    def write(self, path: Path) -> Path:
        """Keep the state."""
        return write_atomic(path, json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path, threshold: float, noise: float, budget: int, seed: int) -> Thresholdout:
        """Return the guard of a file, or a new one where there is no file.

        Raises:
            HoldoutError: The file is broken, or of other settings: a state cannot be bargained with.
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
