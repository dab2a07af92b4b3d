"""Grades of a scored reply for RL: Tool-N1's binary one and ToolRL's graded one, corrected.

Tool-N1 (arXiv 2505.00024): 1 for the right format and exactly the right calls, else 0. Differs here: values are
compared by the rules of `tool_values`, every call counts and not the last block alone, and a reply without calls must
be the right one and not just any text.

ToolRL (arXiv 2504.13958, `rlla.py`): format in {0, 1} plus correctness in [-3, 3]. Correctness is linear in the share
of (Jaccard index of the multisets of tool names + for every gold call with a partner, Jaccard index of its parameter
names + the number of right values) in its greatest value, 1 + the sum over gold calls of (1 + its arguments). Differs:

- Their correctness is 0 for any reply to a row without calls, so that a needless call costs one point of seven. Here it
  has the lowest grade, and the decision and the words earn the rest.
- Their calls too many only lower the first index, so that ten guesses with the right one among them earn nearly all.
  Here each adds to the greatest value as a missed one does.
"""

from __future__ import annotations

from collections import Counter

from .call_alignment import CallScore
from .call_scoring import Score

LOW, HIGH = -1.0, 1.0
_FORMAT, _CORRECT = 1.0, 3.0  # ToolRL's points: format 0 to 1, correctness -3 to 3


def binary(score: Score) -> float:
    """1.0 for an exact reply, else 0.0."""
    return float(score.exact)


def graded(score: Score) -> float:
    """A grade from -1 to 1.

    -1           a reply that cannot be read, a mute one, and a call where none is right
    -5/7         words where a call is right, and the wrong one of ask, refuse and answer: only the format is right
    -5/7 to 1    calls where calls are right, by ToolRL's formula; the wrong tools have the low end
    1/7 to 4/7   the right one of ask, refuse and answer with an error, more for a question that names what is missing
    1            exact; nothing else has it
    """
    if score.decision == "none" or score.error == "unwarranted_call":
        return LOW
    return _scaled(_FORMAT + _CORRECT * (2 * _share(score) - 1))


def _share(score: Score) -> float:
    """How much is right beyond the format, 0 to 1; 1 for an exact reply only."""
    if score.exact:
        return 1.0
    if not score.decision_ok:
        return 0.0
    if score.decision != "call":
        return 0.5 + 0.25 * score.slots_named
    points = _name_overlap(score.calls) + sum(map(_argument_points, score.calls))
    counted = [call.gold or call.found for call in score.calls]
    return points / (1 + sum(1 + len(call.arguments) for call in counted if call is not None))


def _name_overlap(calls: tuple[CallScore, ...]) -> float:
    """Jaccard index of the multisets of tool names."""
    gold = Counter(call.gold.name for call in calls if call.gold is not None)
    found = Counter(call.found.name for call in calls if call.found is not None)
    union = (gold | found).total()
    return (gold & found).total() / union if union else 1.0


def _argument_points(call: CallScore) -> float:
    """Jaccard index of the parameter names, and one point a right value of the gold."""
    if call.gold is None or call.found is None:
        return 0.0
    gold = call.gold.arguments
    shared = sum(score.ok or (score.name in gold and score.reason != "missing") for score in call.arguments)
    right = sum(score.ok for score in call.arguments if score.name in gold)
    return (shared / len(call.arguments) if call.arguments else 1.0) + right


def _scaled(points: float) -> float:
    """ToolRL's points, -3 to 4, on the range of this reward."""
    return LOW + (HIGH - LOW) * (points + _CORRECT) / (2 * _CORRECT + _FORMAT)
