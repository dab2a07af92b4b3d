"""Reward for countdown: an expression of the given numbers must equal the target."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, ClassVar

from ...data.maths.countdown import solutions
from ...data.maths.expressions import ExpressionError, canonical, leaves, parse, value
from ..base import Reward, Verdict
from .final_answer import AnswerFormat, after_thought, check_format, final_answer, written

_LAYOUT = re.compile(r"\\(?:left|right|displaystyle|quad)(?![A-Za-z])|\\[ ,;:!()\[\]]|\$|`|^\*\*|\*\*$|[\s.,;]+$")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_SIGNS = str.maketrans(
    {"×": "*", "·": "*", "∗": "*", "÷": "/", "−": "-", "–": "-", "[": "(", "]": ")", "{": "(", "}": ")"}
)
_COMMANDS = {"\\times": "*", "\\cdot": "*", "\\div": "/"}
_MOST_NUMBERS = 5  # more have too many solutions to list


@dataclass(frozen=True)
class Countdown(Reward):
    r"""1.0 when the expression equals the row's `target` and uses each of its `numbers` at most once, else 0.0.

    Numbers are added, subtracted, multiplied and divided exactly; a division by zero is wrong. The expression is the
    final answer (`final_answer`), else the last line that is not empty. It may be LaTeX, and a side of an equation; the
    side that is a lone number is not read. It is parsed, never evaluated as code (`data.maths.expressions`).

    Attributes:
        use_all: Every number must be used, as in the game of 24 and in Countdown-Tasks-3to4.
        answer_format: Where the expression stands; `last_number` cannot hold one.
    """

    use_all: bool = False
    answer_format: AnswerFormat = "auto"
    name: ClassVar[str] = "countdown"
    columns: ClassVar[tuple[str, ...]] = ("numbers", "target")

    def __post_init__(self) -> None:
        check_format(self.answer_format, self.name)
        if self.answer_format == "last_number":
            raise ValueError("reward countdown · answer_format 'last_number' holds no expression · take another one")

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """See the class."""
        numbers, target = _numbers(row["numbers"]), Fraction(str(row["target"]))
        try:
            tree = parse(self._expression(completion))
            reached = value(tree)
        except ExpressionError as error:
            return Verdict(0.0, "wrong" if "zero" in str(error) else "unparseable", str(error)[:200])
        used, given = Counter(map(Fraction, leaves(tree))), Counter(numbers)
        if used - given:
            return Verdict(0.0, "wrong", f"{min(used - given)} is not given, or not so often")
        if self.use_all and given - used:
            return Verdict(0.0, "wrong", f"{min(given - used)} is not used")
        if reached != target:
            return Verdict(0.0, "wrong", f"equals {reached}")
        return Verdict(1.0, "correct")

    def canonical(self, completion: str, row: Mapping[str, Any]) -> str | None:
        """Normal form of the expression; None when it cannot be read."""
        try:
            return canonical(self._expression(completion))
        except ExpressionError:
            return None

    def gold_completion(self, row: Mapping[str, Any]) -> str | None:
        """A solution without division, found by search; None where there is none or there are too many numbers."""
        numbers, target = _numbers(row["numbers"]), Fraction(str(row["target"]))
        whole = all(number.denominator == 1 for number in (*numbers, target))
        if not whole or len(numbers) > _MOST_NUMBERS or target <= 0:
            return None
        found = solutions([int(number) for number in numbers], int(target))
        golds = [text for text in found if not self.use_all or len(leaves(parse(text))) == len(numbers)]
        return self._written(golds[0]) if golds else None

    def near_misses(self, row: Mapping[str, Any]) -> list[str]:
        """The solution with a number that is not given, and with another operator."""
        gold = self.gold_completion(row)
        if gold is None:
            return []
        text = self._expression(gold)
        other = re.sub(r" [-+*] ", lambda found: " - " if found[0] == " + " else " + ", text, count=1)
        wrong = [self._written(candidate) for candidate in (f"{text} + 1", other)]
        return [completion for completion in wrong if self.judge(completion, row).value == 0.0]

    def _written(self, expression: str) -> str:
        return expression if self.answer_format == "auto" else written(expression, self.answer_format)

    def _expression(self, completion: str) -> str:
        text = final_answer(completion, self.answer_format)
        if text is None and self.answer_format == "auto":
            lines = (after_thought(completion) or "").splitlines()
            text = next((line for line in reversed(lines) if line.strip()), None)
        text = _LAYOUT.sub("", (text or "").strip())
        for command, sign in _COMMANDS.items():
            text = re.sub(re.escape(command) + r"(?![A-Za-z])", sign, text)
        text = _FRACTION.sub(r"((\1)/(\2))", _FRACTION.sub(r"((\1)/(\2))", text)).translate(_SIGNS)
        sides = [_LAYOUT.sub("", side).strip() for side in text.split("=")]
        return next((side for side in sides if not re.fullmatch(r"[-\d.\s]*", side)), sides[0])


def _numbers(given: Any) -> list[Fraction]:
    """The numbers of a row: a list, or the same as JSON."""
    values = json.loads(given) if isinstance(given, str) else given
    return [Fraction(str(number)) for number in values]
