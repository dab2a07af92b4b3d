"""Labelled wrong turns of a row, derived from its gold: rejected answers for DPO, near misses for tests of scorers.

Each label is a mistake that models make (When2Call, NAACL 2025; MLCL, arXiv 2601.05366). A corruption is only made
where it is wrong for its row: to leave out a value that has a default is no mistake. ``untranslated_enum`` has the
user's words for a literal or an ISO value, ``untranslated_name`` those for a name in other letters or another language;
``invented_value`` is also a call in place of a question.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...rows import Row, check_row
from ..wire.calls import Call, dump, to_message
from .row_view import RowView, view
from .wrong_calls import MAKERS, is_right, wrong_calls
from .wrong_texts import foreign_text, guessed_call, known_question, refusal, unwarranted_call

LABELS = (
    *MAKERS,
    "stringified_arguments",  # the arguments as a JSON string, in Hermes tags
    "call_on_irrelevant",
    "refusal_when_callable",
    "ask_when_complete",
    "wrong_language",
    "empty",
)

# Chat templates do not render these as they stand: nulls are dropped, tags in text are made harmless.
_NOT_RENDERED = frozenset({"extra_null", "stringified_arguments"})


@dataclass(frozen=True)
class Corruption:
    """A wrong assistant turn: what is wrong with it, its text, and its calls in a row's form (or None)."""

    label: str
    content: str
    tool_calls: list[dict[str, Any]] | None = None

    @property
    def message(self) -> dict[str, Any]:
        """The turn as a message."""
        message: dict[str, Any] = {"role": "assistant", "content": self.content}
        return message | {"tool_calls": self.tool_calls} if self.tool_calls else message


def corruptions(row: Mapping[str, Any], rng: random.Random) -> list[Corruption]:
    """Wrong last turns of a row with gold, at most one a label, in the order of ``LABELS``."""
    seen = view(row)
    if seen.gold is None:
        return []
    found = [*_of_calls(seen, rng), *_of_decision(seen, rng), Corruption("empty", "")]
    return sorted(found, key=lambda corruption: LABELS.index(corruption.label))


def preference_rows(rows: Sequence[Mapping[str, Any]], seed: int = 0) -> list[Row]:
    """Right turns beside wrong ones, one pair a row, with labels as even as the rows allow.

    A row has ``prompt``, ``chosen`` and ``rejected`` (message lists), ``tools``, ``label``. Rows with
    ``prompt`` only give pairs where a call is right, since nothing says what else the right words are.
    """
    rng = random.Random(f"function_calling/preferences/{seed}")
    counts: Counter[str] = Counter()
    pairs = []
    for row in rows:
        chosen = right_turn(row)
        candidates = [wrong for wrong in corruptions(row, rng) if wrong.label not in _NOT_RENDERED] if chosen else []
        if not candidates:
            continue
        rare = min(counts[wrong.label] for wrong in candidates)
        rejected = rng.choice([wrong for wrong in candidates if counts[wrong.label] == rare])
        counts[rejected.label] += 1
        pairs.append(_pair(row, chosen, rejected))
    return pairs


def _pair(row: Mapping[str, Any], chosen: dict[str, Any] | None, rejected: Corruption) -> Row:
    prompt = row["prompt"] if row.get("prompt") else row["messages"][:-1]
    kept = {key: row[key] for key in ("task", "language", "scenario", "tools") if row.get(key) is not None}
    pair = {"id": f"{row['id']}/{rejected.label}", **kept, "prompt": prompt, "label": rejected.label}
    return check_row(pair | {"chosen": [chosen], "rejected": [rejected.message]}, str(row["id"]))


def right_turn(row: Mapping[str, Any]) -> dict[str, Any] | None:
    """The right last turn as a message: the conversation's, or the gold calls; None where only words are right."""
    if row.get("messages"):
        return row["messages"][-1]
    calls = view(row).gold_calls
    return to_message(calls) if calls else None


def _of_calls(seen: RowView, rng: random.Random) -> Iterator[Corruption]:
    if not seen.gold_calls:
        return
    for label, calls in wrong_calls(seen, rng):
        yield _calling(label, calls)
    blocks = [dump({"name": call.name, "arguments": dump(call.arguments)}) for call in seen.gold_calls]
    yield Corruption("stringified_arguments", "\n".join(f"<tool_call>\n{block}\n</tool_call>" for block in blocks))


def _of_decision(seen: RowView, rng: random.Random) -> Iterator[Corruption]:
    gold = seen.gold or {}
    right = {gold["decision"], *(gold.get("decisions") or ())}
    fixed = gold["decision"] in ("call", "ask") or bool(gold.get("contains"))
    if fixed and "refuse" not in right and (text := refusal(seen, rng)):
        yield Corruption("refusal_when_callable", text)
    may_ask = gold["decision"] == "ask" or (gold["decision"] == "call" and "ask" not in right)
    if may_ask and (text := known_question(seen, rng)):
        yield Corruption("ask_when_complete", text)
    if gold["decision"] != "call" and (text := foreign_text(seen, rng)):
        yield Corruption("wrong_language", text)
    if "call" in right:
        return
    if gold["decision"] == "ask":
        if guess := guessed_call(seen, rng):
            yield _calling("invented_value", [guess])
    else:
        call = unwarranted_call(seen, rng)
        if call is not None and not is_right(seen, [call]):
            yield _calling("call_on_irrelevant", [call])


def _calling(label: str, calls: Sequence[Call]) -> Corruption:
    return Corruption(label, "", to_message(calls)["tool_calls"])
