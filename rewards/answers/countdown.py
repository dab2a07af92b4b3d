"""Reward for countdown: an expression of the given numbers that equals the target."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ...data.maths.boxed import last_boxed
from ...data.maths.expressions import ExpressionError, canonical, leaves, parse, value
from ..base import Reward, Verdict

_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_SIGNS = str.maketrans({"×": "*", "·": "*", "−": "-"})


@dataclass(frozen=True)
class Countdown(Reward):
    r"""1.0 when the expression equals the row's `target` and uses each of its `numbers` at most once, else 0.0.

    The expression is what the last `<answer>` holds, else the last `\boxed{}`, else the last line that is not empty;
    what follows an equals sign is not read. It is parsed, never evaluated as code (`data.expressions`).
    """

    name: ClassVar[str] = "countdown"
    columns: ClassVar[tuple[str, ...]] = ("numbers", "target")

    def judge(self, completion: str, row: Mapping[str, Any]) -> Verdict:
        """See the class."""
        try:
            tree = parse(_expression(completion))
        except ExpressionError as error:
            return Verdict(0.0, "unparseable", str(error)[:200])
        excess = Counter(leaves(tree)) - Counter(row["numbers"])
        if excess:
            return Verdict(0.0, "wrong", f"{min(excess)} is not given, or not so often")
        reached = value(tree)
        if reached != row["target"]:
            return Verdict(0.0, "wrong", f"equals {reached}")
        return Verdict(1.0, "correct")

    def canonical(self, completion: str, row: Mapping[str, Any]) -> str | None:
        """Normal form of the expression; None when it cannot be read."""
        try:
            return canonical(_expression(completion))
        except ExpressionError:
            return None


def _expression(completion: str) -> str:
    tagged = _ANSWER.findall(completion)
    text = tagged[-1] if tagged else last_boxed(completion)
    if text is None:
        text = next((line for line in reversed(completion.splitlines()) if line.strip()), "")
    return text.split("=")[0].replace("\\times", "*").replace("\\cdot", "*").translate(_SIGNS).strip()
