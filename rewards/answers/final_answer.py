r"""Extraction of the final answer from a completion.

Text inside `<think>` is never the answer, and a thought that does not end leaves none. Of the rest, the last mark of
the requested format counts.
"""

from __future__ import annotations

import re
from typing import Literal, get_args

from ...data.maths.boxed import last_boxed

AnswerFormat = Literal["auto", "boxed", "hashes", "answer_line", "tag", "last_number"]
ANSWER_FORMATS: tuple[AnswerFormat, ...] = get_args(AnswerFormat)

_THOUGHT = re.compile(r"<(/?)think(?:ing)?>")
_HASHES = re.compile(r"####[ \t]*(\S[^\n]*)")
_LINE = re.compile(r"(?<![A-Za-z])(?:final\s+)?answer(?:\s+is)?[*_]{0,2}[ \t]*:[*_ \t]*(\S[^\n]*)", re.IGNORECASE)
_TAG = re.compile(r"<answer>((?:(?!<answer>).)*?)</answer>", re.DOTALL)
_NUMBER = re.compile(r"[-−]?(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?(?:/\d+)?|[-−]?\.\d+")
_PATTERNS = {"hashes": _HASHES, "answer_line": _LINE, "tag": _TAG, "last_number": _NUMBER}
_WRITTEN: dict[AnswerFormat, str] = {
    "auto": "\\boxed{GOLD}",
    "boxed": "\\boxed{GOLD}",
    "hashes": "#### GOLD",
    "answer_line": "Answer: GOLD",
    "tag": "<answer>GOLD</answer>",
    "last_number": "GOLD",
}


def check_format(value: str, reward: str) -> None:
    """Refuse an unknown format.

    Raises:
        ValueError: With what is allowed.
    """
    if value not in ANSWER_FORMATS:
        raise ValueError(f"reward {reward} · answer_format {value!r} · allowed: {', '.join(ANSWER_FORMATS)}")


def after_thought(completion: str) -> str | None:
    """What follows the last thought; None where the last one has not ended."""
    marks = list(_THOUGHT.finditer(completion))
    if not marks:
        return completion
    return completion[marks[-1].end() :] if marks[-1][1] else None


def final_answer(completion: str, answer_format: AnswerFormat = "auto") -> str | None:
    r"""The final answer as it is written, or None.

    `boxed` takes the last `\boxed{}`, `hashes` the line after the last `####` (GSM8K), `answer_line` the line after
    the last `Answer:`, `tag` the last `<answer>` element, `last_number` the last number. `auto` takes whichever mark
    of the first four comes last. A box inside a line or an element is opened.
    """
    text = after_thought(completion)
    if text is None:
        return None
    if answer_format != "auto":
        return _find(text, answer_format)
    starts = {name: _start(text, name) for name in ("boxed", "hashes", "answer_line", "tag")}
    name, start = max(starts.items(), key=lambda item: item[1])
    return _find(text, name) if start >= 0 else None


def written(answer: str, answer_format: AnswerFormat) -> str:
    """A completion that gives an answer in a format."""
    return _WRITTEN[answer_format].replace("GOLD", answer)


def _start(text: str, name: str) -> int:
    if name == "boxed":
        return text.rfind("\\boxed") if last_boxed(text) is not None else -1
    return max((match.start() for match in _PATTERNS[name].finditer(text)), default=-1)


def _find(text: str, name: str) -> str | None:
    found = [text] if name == "boxed" else _PATTERNS[name].findall(text)
    boxed = last_boxed(found[-1]) if found else None
    if name == "boxed" or not found:
        return boxed
    return (found[-1] if boxed is None else boxed).strip().removesuffix("**")
