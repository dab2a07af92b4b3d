"""What a reply without a call does: ask for a value, refuse, or answer; rules over words, in any language of the table.

R1  A reply without a letter or digit, or that is nothing but a JSON value, does none of the three.
R2  It asks if it has a question (a sentence that ends in a question mark) which is no offer of help, or a request for
    information (the table's `ask`).
R3  Else it refuses if it has a refusal (the table's `refuse`, or a refusal of a language pack).
R4  Else it answers.

A reply that refuses and then asks for a value thus asks. The words of all languages count at once: the language of a
reply is judged apart. Words are compared without case and punctuation, at their beginning, so that endings do not
matter; words of one or two letters must be whole.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from ...data.function_calling.check.row_view import Decision
from ...data.function_calling.say.library import read_yaml
from ...data.function_calling.say.packs import FOLDER, languages, load_pack
from ...data.function_calling.say.scripts import language_of
from ...data.function_calling.wire.strict_json import JsonProblem, loads

_SENTENCE = re.compile(r"[^.!?…？！。؟\u037e\n]*[.!?…？！。؟\u037e\n]*")
_QUESTION_MARKS = ("?", "？", "؟", "\u037e")  # the last one is Greek and looks like a semicolon
_GAP = r"(?:\w+ ){0,5}?"


def decision_of(text: str) -> Decision:
    """What a reply without a call does, by rules R1 to R4."""
    if not any(letter.isalnum() for letter in text) or _is_json(text):
        return "none"
    words, patterns = plain(text), _patterns()
    asks = any(not patterns["offer"].search(plain(question)) for question in questions(text))
    if asks or patterns["ask"].search(words):
        return "ask"
    return "refuse" if patterns["refuse"].search(words) else "answer"


def questions(text: str) -> list[str]:
    """The sentences that end in a question mark."""
    return [found for found in _SENTENCE.findall(text) if found.rstrip().rstrip("!.").endswith(_QUESTION_MARKS)]


def named_slots(text: str, mentions: Mapping[str, Iterable[str]]) -> list[str]:
    """The parameters that a text names, by the words that name them."""
    words = plain(text)
    return [slot for slot, names in mentions.items() if any(_pattern(name).search(words) for name in names)]


def states(text: str, facts: Iterable[str]) -> bool:
    """Whether a text has every fact in it, as whole words and numbers (`21` is not in `2100` nor in `21.5`)."""
    words = _folded(text)
    return all(_fact(_folded(fact)).search(words) for fact in facts)


def in_language(text: str, row: Mapping[str, Any], facts: Iterable[str], names: Iterable[str]) -> bool | None:
    """Whether a reply is in the row's language; None if it has none, or if nothing in the text tells.

    Words of the conversation, of the facts and of the tools' names may be in any language.
    """
    language = row.get("language")
    if not language:
        return None
    prompt = row.get("prompt") or ()
    turns = [prompt] if isinstance(prompt, str) else [turn["content"] for turn in prompt if turn["role"] != "system"]
    verdict = language_of(text, language, [*filter(None, turns), *facts, *names])
    return None if verdict == "unclear" else verdict == "right"


def plain(text: str) -> str:
    """Lower-case words of a text with single spaces between, for the patterns."""
    return " ".join(re.findall(r"[\w']+", _folded(text)))


def _folded(text: str) -> str:
    return " ".join(unicodedata.normalize("NFC", text).replace("’", "'").casefold().split())


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        return isinstance(loads(text), dict | list)
    except JsonProblem:
        return False


def _fact(fact: str) -> re.Pattern[str]:
    before = r"(?<!\d)(?<!\d[.,])" if fact[:1].isdigit() else r"(?<!\w)" if fact[:1].isalnum() else ""
    after = r"(?!\d)(?![.,]\d)" if fact[-1:].isdigit() else r"(?!\w)" if fact[-1:].isalnum() else ""
    return re.compile(before + re.escape(fact) + after)


@lru_cache(maxsize=4096)
def _pattern(words: str) -> re.Pattern[str]:
    return re.compile(_source(words))


def _source(words: str) -> str:
    parts = [" ".join(map(re.escape, plain(part).split())) for part in words.split("…")]
    last = parts[-1].split(" ")[-1]
    return r"\b" + f" {_GAP}".join(parts) + (r"\b" if len(last) <= 2 else "")


@lru_cache(maxsize=1)
def _patterns() -> dict[str, re.Pattern[str]]:
    table = read_yaml(FOLDER.with_name("decision_words.yaml")).values()
    words = {kind: [word for language in table for word in language[kind]] for kind in ("refuse", "ask", "offer")}
    words["refuse"] += [text for name in languages() for text in load_pack(name).section("refuse") if "{" not in text]
    return {kind: re.compile("|".join(map(_source, found))) for kind, found in words.items()}
