"""Token limits of a prompt in several tokenizers, counted on the whole prompt as it will be sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Counter = Callable[[str], int]
"""Tokens of a text in one tokenizer."""


class CompressionError(ValueError):
    """A prompt cannot be compressed as it was asked for, with what to change."""


class BudgetError(CompressionError):
    """A budget cannot hold what must be kept."""


PARTS = "\n\n"
"""What stands between instruction, contexts and question."""


def join_parts(*parts: str) -> str:
    """The parts of a prompt that are there, set apart by an empty line."""
    return PARTS.join(part for part in parts if part)


@dataclass(frozen=True)
class Budget:
    """Token limits of a whole prompt, by name of tokenizer, for a capsule between a fixed instruction and question."""

    counters: Mapping[str, Counter]
    limits: Mapping[str, int]
    instruction: str = ""
    question: str = ""

    def prompt(self, capsule: str) -> str:
        """The whole prompt."""
        return join_parts(self.instruction, capsule, self.question)

    def counts(self, capsule: str) -> dict[str, int]:
        """Tokens of the whole prompt, by tokenizer."""
        return count_all(self.counters, self.prompt(capsule))

    def fits(self, capsule: str) -> bool:
        """Whether the whole prompt is within every limit."""
        prompt = self.prompt(capsule)
        return all(counter(prompt) <= self.limits[name] for name, counter in self.counters.items())


def count_all(counters: Mapping[str, Counter], text: str) -> dict[str, int]:
    """Tokens of a text, by tokenizer."""
    return {name: counter(text) for name, counter in counters.items()}
