"""From rows and answers to cases, with the scorer that is also the reward."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from ...data.rows import Row
from ...rewards.function_calling.call_scoring import Score, score
from .baselines import BASELINES
from .call_rates import Report
from .cases import Case


def make_report(rows: Sequence[Row], answers: Sequence[str], form: str = "hermes") -> Report:
    """Return the report of one answer a row, scored as in `cases`."""
    return Report(tuple(cases(rows, answers, form)))


def cases(
    rows: Sequence[Row], answers: Sequence[str], form: str = "hermes", sampled: Sequence[float | None] | None = None
) -> list[Case]:
    """Score one answer a row and those of the trivial baselines; rows without a gold answer are left out.

    Args:
        rows: With the columns of function-calling rows.
        answers: One text a row.
        form: The wire format that is read strictly.
        sampled: Share of right samples a row, where more were drawn.

    Raises:
        RowError: A row's gold or tools are malformed. No answer makes it raise.
    """
    shares = sampled or [None] * len(rows)
    return [
        _case(row, score(answer, row, form), form, share)
        for row, answer, share in zip(rows, answers, shares, strict=True)
        if row.get("gold")
    ]


def _case(row: Row, found: Score, form: str, sampled: float | None) -> Case:
    return Case(
        id=row["id"],
        scenario=row.get("scenario") or "",
        language=row.get("language") or "",
        split=_split(row),
        wanted=found.gold_decision,
        # A row may accept more than one decision; none of them is a confusion.
        found=found.gold_decision if found.decision_ok else found.decision,
        right=found.exact,
        tolerant=found.tolerant_exact,
        arguments=_arguments(found),
        asked=found.asked_right_slot,
        calls=found.decision == "call",
        invented_tool=bool(found.hallucinated),
        language_right=found.language_ok,
        problems=found.problems,
        error=found.error,
        sampled=sampled,
        trivial={name: score(answer(row, form), row, form).exact for name, answer in BASELINES.items()},
    )


def _arguments(found: Score) -> dict[str, tuple[int, int]]:
    scores = [argument for call in found.calls for argument in call.arguments]
    right = Counter(argument.kind for argument in scores if argument.ok)
    return {kind: (right[kind], of) for kind, of in Counter(argument.kind for argument in scores).items()}


def _split(row: Row) -> str:
    """What a generated row holds out, or the category of a public set."""
    try:
        return row.get("category") or str(json.loads(row.get("provenance") or "{}").get("split", ""))
    except (ValueError, AttributeError):
        return ""
