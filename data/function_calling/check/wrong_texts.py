"""Texts where another text, or a call, would be right: refusals, questions, the wrong language.

The words are those of the language packs; for a language without a pack there are none.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from ...rows import RowError
from ..say.inventions import example
from ..say.masking import pseudo_word
from ..say.packs import languages, load_pack
from ..say.scripts import language_of
from ..wire.calls import Call
from .row_view import RowView
from .wrong_calls import example_call, nearest_function


def refusal(view: RowView, rng: random.Random) -> str | None:
    """A refusal in the row's language; None without a pack of it."""
    texts = _section(view.language, "refuse")
    return rng.choice(texts) if texts else None


def known_question(view: RowView, rng: random.Random) -> str | None:
    """A question for a value that the user has given."""
    names = [name for call in view.gold_calls for name in call.arguments]
    if not view.gold_calls:
        names = [name for intent in view.provenance.get("intents") or () for name in intent["slots"]]
    texts = [text for name in names for text in _questions(view, view.language, name)]
    wanted = [word for words in ((view.gold or {}).get("mentions") or {}).values() for word in words]
    texts = [text for text in texts if not any(word.casefold() in text.casefold() for word in wanted)]
    return rng.choice(texts) if texts else None


def foreign_text(view: RowView, rng: random.Random) -> str | None:
    """What the row asks for, in a language that is not the user's."""
    others = [language for language in languages() if language != view.language]
    rng.shuffle(others)
    known = [view.said, *view.functions, *map(str, (view.gold or {}).get("contains") or ())]
    for other in others if view.language else ():
        text = _text_in(view, other, rng)
        if text and language_of(text, view.language, known) == "wrong":
            return text
    return None


def unwarranted_call(view: RowView, rng: random.Random) -> Call | None:
    """A call where none is right: the last one again, the nearest tool, or one that is not listed."""
    if view.gold and view.gold["decision"] == "answer" and view.history_calls:
        return view.history_calls[-1]
    slots = {name: slot for intent in view.provenance.get("intents") or () for name, slot in intent["slots"].items()}
    nearest = nearest_function(view, set(slots), rng)
    if nearest is not None:
        return example_call(view, nearest, rng)
    return Call(pseudo_word(rng), {name: slot["value"] for name, slot in slots.items()})


def guessed_call(view: RowView, rng: random.Random) -> Call | None:
    """The wanted call with made-up values for what the user did not say."""
    intents: Sequence[Mapping[str, Any]] = view.provenance.get("intents") or ()
    names = {tool: name for name, tool in view.tool_ids.items()}
    function = view.functions.get(names.get(intents[-1]["tool"], "")) if intents else None
    if function is None:
        return None
    properties = (function.get("parameters") or {}).get("properties") or {}
    arguments = {name: slot["value"] for name, slot in intents[-1]["slots"].items()}
    missing = (view.gold or {}).get("missing") or ()
    return Call(function["name"], arguments | {name: example(properties.get(name) or {}, rng) for name in missing})


def _text_in(view: RowView, language: str, rng: random.Random) -> str | None:
    gold = view.gold or {}
    if gold["decision"] == "refuse":
        texts = _section(language, "refuse")
    elif gold["decision"] == "ask":
        texts = [text for name in gold.get("missing") or () for text in _questions(view, language, name)]
    else:
        chat = _section(language, "chat") or {}
        texts = [text for part in chat.values() for text in part["answer"] if not text.endswith("?")]
    if not texts:
        return None
    return " ".join([rng.choice(texts), *map(str, gold.get("contains") or ())])


def _questions(view: RowView, language: str, name: str) -> list[str]:
    return _section(language, "parameters", view.original_parameters.get(name, name), "ask") or []


def _section(language: str, *path: str) -> Any:
    if language not in languages():
        return None
    try:
        return load_pack(language).section(*path)
    except RowError:  # the pack does not ask for this parameter
        return None
