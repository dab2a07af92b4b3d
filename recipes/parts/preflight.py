"""Checks rows before anything expensive: each row's gold by its own rewards, and each prompt's length."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.cache import cache_dir, write_atomic
from ...data.chat.renderer import render_prompts
from ...data.rows import Row, RowError
from ...rewards import base
from ..config.language.errors import is_rank_zero
from .models import configurations, model_path

if TYPE_CHECKING:
    from ...rewards.base import Reward, Verdict
    from ..config.language.section import LongPrompts
    from ..config.model import Model

_SHOWN = 3


def judgeable(rows: Sequence[Row], rewards: Sequence[Reward], most: float, where: str) -> list[Row]:
    """Leave out the rows that no reward can judge, and print how many and why.

    A row can be judged if some reward has its columns, and every such reward gives its own gold the highest value.
    Results are cached by row and reward.

    Args:
        rows: All rows.
        rewards: Of the recipe; readers need not be bound yet.
        most: Share of rows that may be left out.
        where: Field of the rows, for messages.

    Raises:
        RowError: More rows than that cannot be judged.
    """
    reasons = _on_main_process(lambda: _reasons(rows, rewards))
    return _without(rows, reasons, most, f"{where} · rows that cannot be judged", "max_unjudgeable")


def fitting(
    rows: Sequence[Row], tokenizer: Any, model: Model, answer: int, how: LongPrompts, where: str, **template: Any
) -> tuple[list[Row], int | None]:
    """Return the rows that fit the model's context, and the length to cut prompts to (None if none is cut).

    Args:
        rows: With `prompt`.
        tokenizer: Of the model.
        model: Section of the model.
        answer: Longest completion, in tokens.
        how: Refuse a longer prompt, drop its row, or cut the prompt on the left.
        where: Field of the rows, for messages.
        **template: Further arguments of the chat template.

    Raises:
        RowError: A prompt is too long and is refused, or the context does not hold a completion.
    """
    context = context_length(model)
    if context is None:
        return list(rows), None
    most = context - answer + 1  # the last token of an answer is never read
    if most < 1:
        raise RowError(f"{where} · answers of {answer} tokens · the context of {model.id} has {context} · lower them")
    lengths = [len(ids) for ids in render_prompts(rows, tokenizer, **template)]
    long = [(row["id"], length) for row, length in zip(rows, lengths, strict=True) if length > most]
    if not long:
        return list(rows), None
    name, length = max(long, key=lambda pair: pair[1])
    found = f"{where} · {len(long)} of {len(rows)} prompts are too long, the longest is {name} with {length} tokens"
    limit = f"{most} fit: the context of {model.id} has {context}, an answer takes up to {answer}"
    if how == "refuse" or (how == "drop" and len(long) == len(rows)):
        raise RowError(f"{found} · {limit} · shorten them, or set long_prompts to drop or cut_left")
    if how == "cut_left":
        _say(f"{found} · {limit} · cut on the left")
        return list(rows), most
    _say(f"{found} · {limit} · dropped")
    gone = {name for name, _ in long}
    return [row for row in rows if row["id"] not in gone], None


def context_length(model: Model) -> int | None:
    """Context length in tokens, from the model's configuration; None if it has no limit."""
    for config in configurations(model_path(model.id), model.revision):
        for part in (config, config.get("text_config") or {}):
            for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
                if isinstance(part.get(name), int):
                    return max(part[name], _stretched(part.get("rope_scaling") or part.get("rope_parameters") or {}))
    return None


def _stretched(scaling: Mapping[str, Any]) -> int:
    """Context length that rotary scaling extends to; 0 without scaling."""
    original, factor = scaling.get("original_max_position_embeddings"), scaling.get("factor")
    return int(original * factor) if original and factor else 0


def _without(rows: Sequence[Row], reasons: Sequence[str], most: float, what: str, field: str) -> list[Row]:
    bad = [(row["id"], reason) for row, reason in zip(rows, reasons, strict=True) if reason]
    if not bad:
        return list(rows)
    shown = "; ".join(f"{name}: {reason}" for name, reason in bad[:_SHOWN])
    more = f"; and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    found = f"{what}: {len(bad)} of {len(rows)} · {shown}{more}"
    if len(bad) > most * len(rows) or len(bad) == len(rows):
        raise RowError(f"{found} · mend these rows, name another reward, or allow more: {field} is {most:g}")
    _say(f"{found} · left out")
    return [row for row, reason in zip(rows, reasons, strict=True) if not reason]


def _reasons(rows: Sequence[Row], rewards: Sequence[Reward]) -> list[str]:
    """Why each row cannot be judged; empty if it can."""
    readers = [reward for reward in rewards if reward.columns]
    knowing = [reward for reward in readers if type(reward).gold_completion is not base.Reward.gold_completion]
    reasons = ["" for _ in rows]
    for index, row in enumerate(rows):
        missing = [[name for name in reward.columns if row.get(name) is None] for reward in readers]
        if readers and all(missing):
            needs = "; ".join(f"{r.name} needs {', '.join(names)}" for r, names in zip(readers, missing, strict=True))
            reasons[index] = f"no reward can read it ({needs})"
    for reward in knowing:
        mine = [i for i, row in enumerate(rows) if all(row.get(name) is not None for name in reward.columns)]
        for index, reason in zip(mine, _gold_reasons(reward, [rows[i] for i in mine]), strict=True):
            reasons[index] = reasons[index] or reason
    return reasons


def _gold_reasons(reward: Reward, rows: Sequence[Row]) -> list[str]:
    """`_try_gold` through a cache, without failures that do not follow from the row."""
    file = cache_dir() / "preflight" / f"{_digest([repr(reward), _code_digest(type(reward).__module__)])}.json"
    try:
        known: dict[str, str] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    keys = [_row_key(row) for row in rows]
    new = [index for index, key in enumerate(keys) if key not in known]
    tried = dict(zip(new, _try_gold(reward, [rows[index] for index in new]), strict=True))
    lasting = {keys[index]: reason for index, (reason, lasts) in tried.items() if lasts}
    if lasting:
        write_atomic(file, json.dumps(known | lasting))
    return [tried[index][0] if index in tried else known[key] for index, key in enumerate(keys)]


def _try_gold(reward: Reward, rows: Sequence[Row]) -> list[tuple[str, bool]]:
    """For each row, why its gold does not earn the highest value, and whether that follows from the row alone."""
    golds = [_gold(reward, row) for row in rows]
    # Without a gold, an empty completion still shows whether the row can be judged at all.
    asked = [index for index, (_, problem) in enumerate(golds) if not problem]
    verdicts = reward.judge_batch([golds[index][0] or "" for index in asked], [rows[index] for index in asked])
    found = {i: _reason(reward, verdict, golds[i][0]) for i, verdict in zip(asked, verdicts, strict=True)}
    return [found.get(index, (problem, True)) for index, (_, problem) in enumerate(golds)]


def _gold(reward: Reward, row: Row) -> tuple[str | None, str]:
    """The reward's gold for a row (None if it has none), or what is wrong with the row."""
    try:
        return reward.gold_completion(row), ""
    except Exception as error:  # a user's reward may raise anything
        return None, f"{reward.name} cannot read it ({type(error).__name__}: {error})"[:200]


def _reason(reward: Reward, verdict: Verdict, gold: str | None) -> tuple[str, bool]:
    top = reward.range[1]
    if verdict.value is not None and (gold is None or verdict.value >= top):
        return "", True
    what = "its gold answer" if gold is not None else "an answer"
    worth = "is not judged" if verdict.value is None else f"earns {verdict.value:g} of {top:g}"
    detail = f"{verdict.outcome}: {verdict.detail}" if verdict.detail else verdict.outcome
    return f"{what} {worth} by {reward.name} ({detail})", verdict.outcome not in ("error", "timeout")


def _row_key(row: Row) -> str:
    """Hash of the row without its prompt, and of its database's size and time."""
    state: list[int] = []
    if isinstance(row.get("database"), str) and os.path.exists(row["database"]):
        found = os.stat(row["database"])
        state = [found.st_size, found.st_mtime_ns]
    return _digest([{k: v for k, v in row.items() if k not in ("prompt", "messages")}, state])[:24]


@cache
def _code_digest(module: str) -> str:
    """Hash of the judging code: all rewards of this package, or the file of a user's reward."""
    own = Path(base.__file__).parent
    if module.partition(".")[0] == base.__name__.partition(".")[0]:
        files = sorted(own.rglob("*.py"))
    else:
        files = [Path(name)] if (name := getattr(sys.modules[module], "__file__", None)) else []
    return _digest([file.read_text(encoding="utf-8") for file in files])


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _on_main_process(work: Callable[[], list[str]]) -> list[str]:
    """Run on the first process and broadcast, since all must train on the same rows."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return work()
    from accelerate import PartialState
    from accelerate.utils import broadcast_object_list

    found: list[Any] = [None]
    if PartialState().is_main_process:
        found = [work()]
    return broadcast_object_list(found)[0]


def _say(text: str) -> None:
    if is_rank_zero():
        print(text)
