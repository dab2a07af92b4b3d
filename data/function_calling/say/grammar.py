"""From requests to sentences: a frame around one clause or more, a clause around slot phrases.

Every choice (frame, verb, object, phrase, order) has an id. A sentence of the split ``paraphrases`` has a choice that
training never sees, or a combination of known choices that a checksum keeps out of training.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from .library import VERBATIM, Parameter
from .pack_model import HELD_OUT, Head, Pack, Template, template
from .slots import join, say

_WORD = re.compile(r"\w{4,}")


def slip(text: str, kept: Iterable[str], informal: Mapping[str, str], rng: random.Random) -> str:
    """The text with one typing error: two letters swapped, no capital, no full stop, or a word in informal letters.

    Parts in `kept` stay. `informal` is how users type the language without its keyboard; only one word is typed so, so
    that the language can still be told.
    """
    longest = sorted({word for word in kept if word}, key=len, reverse=True)
    # Parts at even places may change; those between them are kept.
    parts = re.split(f"({'|'.join(map(re.escape, longest))})", text) if longest else [text]
    free = [place for place in range(0, len(parts), 2) if parts[place].strip()]
    kind = rng.choice(("swap", "lower", "point", "informal"))
    if kind == "lower":
        parts[0] = parts[0][:1].lower() + parts[0][1:]
    elif kind == "point":
        parts[-1] = parts[-1].rstrip(".?!")
    elif free and (kind == "swap" or informal):
        place = rng.choice(free)
        words = list(_WORD.finditer(parts[place]))
        if words:
            word = rng.choice(words)
            mistyped = _swapped(word[0], rng) if kind == "swap" else "".join(informal.get(c, c) for c in word[0])
            parts[place] = parts[place][: word.start()] + mistyped + parts[place][word.end() :]
    return "".join(parts)


def _swapped(word: str, rng: random.Random) -> str:
    place = rng.randrange(1, len(word) - 1)  # not the first letter, which readers need most
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]


T = TypeVar("T")

TRIES = 60
HELD_OUT_COMBINATIONS = 5
"""One combination of choices in this many is kept for the split ``paraphrases``."""
HELD_OUT_TEXTS = 4
"""One text in this many is kept for the splits that are not training."""
NEW_PIECES = 0.25
"""Share of choices in ``paraphrases`` that fall on a piece kept out of training."""


class NoSentenceError(Exception):
    """No sentence of the split says this; the row is drawn anew."""


@dataclass(frozen=True)
class Ask:
    """What to say: values by parameter (several values for parallel calls), and parameters left open in words."""

    intent: str
    parameters: Mapping[str, Parameter]
    values: Mapping[str, Sequence[Any]]
    indifferent: tuple[str, ...] = ()


@dataclass
class Sentence:
    """A text, the words of each value (by ask, parameter and place in the list of values), and the rules used."""

    text: str
    said: list[dict[str, list[str]]]
    rules: list[str] = field(default_factory=list)


class Speaker:
    """Says requests in the language of a pack, within the split.

    With `paraphrases` it says only what the rules of training cannot say, with `held_out` only texts kept out of
    training.
    """

    def __init__(
        self, pack: Pack, rng: random.Random, *, paraphrases: bool = False, held_out: bool = False, noise: float = 0.0
    ) -> None:
        self.pack, self.rng = pack, rng
        self.paraphrases, self.held_out, self.noise = paraphrases, held_out, noise
        self._rules: list[str] = []
        self._verbatim: tuple[str, ...] = ()  # words that must stay as they are, even at the start of a sentence

    def request(self, asks: Sequence[Ask]) -> Sentence:
        """One sentence, or two, that ask for everything.

        Raises:
            NoSentenceError: If the split has no such sentence.
        """
        return self._accepted(lambda: self._request(asks))

    def reply(self, ask: Ask) -> Sentence:
        """The answer to a question for the values of ``ask``."""
        return self._accepted(lambda: self._reply(ask))

    def small_talk(self) -> tuple[Sentence, str]:
        """Something to chat about, and the assistant's answer."""
        topics = self.pack.section("chat")
        topic = self.rng.choice(list(topics))
        sentence = self._accepted(lambda: self._small_talk(topic, topics[topic]["say"]))
        return sentence, self.rng.choice(topics[topic]["answer"])

    def _accepted(self, make: Callable[[], Sentence]) -> Sentence:
        for _ in range(TRIES):
            self._rules, self._verbatim = [], ()
            sentence = make()
            if self.noise and self.rng.random() < self.noise:
                words = [word for said in sentence.said for texts in said.values() for word in texts]
                sentence.text = slip(sentence.text, words, self.pack.data.get("informal", {}), self.rng)
            if self._belongs(sentence):
                return sentence
        raise NoSentenceError

    def _belongs(self, sentence: Sentence) -> bool:
        rules = sentence.rules
        new = any(f"/{HELD_OUT}" in rule for rule in rules)
        kept = new or zlib.crc32("|".join(rules).encode()) % HELD_OUT_COMBINATIONS == 0
        held_out = zlib.crc32(sentence.text.encode()) % HELD_OUT_TEXTS == 0
        return kept == self.paraphrases and held_out == self.held_out

    def _choose(self, options: Mapping[str, T], place: str) -> T:
        """One of the alternatives, by id; those kept out of training only for paraphrases."""
        names = [name for name in options if not name.startswith(HELD_OUT)]
        if self.paraphrases and len(names) < len(options) and (not names or self.rng.random() < NEW_PIECES):
            names = [name for name in options if name.startswith(HELD_OUT)]
        name = self.rng.choice(names)
        self._rules.append(f"{self.pack.language}/{place}/{name}")
        return options[name]

    def _request(self, asks: Sequence[Ask]) -> Sentence:
        possible = [self._heads(ask) for ask in asks]
        questions = all(any(not head.verbs for head in heads) for heads in possible)
        orders = all(any(head.verbs for head in heads) for heads in possible)
        frames = {
            name: frame
            for name, frame in self.pack.frames.items()
            if (questions if frame["form"] == "question" else orders)
        }
        frame = self._choose(frames, "frame")
        clauses, said = [], []
        for ask, heads in zip(asks, possible, strict=True):
            clause, words = self._clause(ask, heads, frame["form"])
            clauses.append(clause)
            said.append(words)
        text = frame["text"].replace("{clause}", frame["join"].join(clauses))
        return self._finished(text, said)

    def _heads(self, ask: Ask) -> list[Head]:
        said = {name for name, values in ask.values.items() if len(values) == 1}
        spoken = set(ask.values)
        return [
            head
            for head in self.pack.intents[ask.intent].heads
            if head.needs <= spoken and said.issuperset(head.text.slots) and not head.without & spoken
        ]

    def _clause(self, ask: Ask, heads: Iterable[Head], form: str) -> tuple[str, dict[str, list[str]]]:
        question = form == "question"
        head = self._choose({head.id: head for head in heads if (not head.verbs) == question}, ask.intent)
        said: dict[str, list[str]] = {}
        parts = {"question" if question else "object": self._fill(head.text, ask, 0, said)}
        if not question:
            verbs = {verb: self.pack.verbs[verb] for verb in head.verbs}
            parts["verb"] = self._choose(verbs, "verb")[form]
        parts["slots"] = " ".join(self._phrases(ask, head, said))
        pattern = self.pack.section("clauses", form)
        return " ".join(parts[part] for part in pattern if parts[part]), said

    def _phrases(self, ask: Ask, head: Head, said: dict[str, list[str]]) -> list[str]:
        rest = [name for name in ask.values if name not in head.text.slots]
        self.rng.shuffle(rest)
        rest.sort(key=self.pack.last.__contains__)
        texts = []
        for name in rest:
            phrase = self._choose(self.pack.intents[ask.intent].phrases[name], f"{ask.intent}.{name}")
            parts = [self._fill(phrase, ask, place, said) for place in range(len(ask.values[name]))]
            texts.append(join(parts, self.pack))
        for name in ask.indifferent:
            texts.insert(0, self.rng.choice(self.pack.section("parameters", name, "any")))
        return texts

    def _fill(self, cut: Template, ask: Ask, place: int, said: dict[str, list[str]]) -> str:
        parts = []
        for piece in cut.pieces:
            if isinstance(piece, str):
                parts.append(piece)
                continue
            name, form = piece
            values = ask.values[name]
            text = say(ask.parameters[name], values[min(place, len(values) - 1)], form, self.rng, self.pack)
            said.setdefault(name, []).append(text)
            if ask.parameters[name].kind.policy in VERBATIM:
                self._verbatim += (text,)
            parts.append(text)
        return "".join(parts)

    def _reply(self, ask: Ask) -> Sentence:
        frame = self._choose(self.pack.section("replies"), "reply")
        said: dict[str, list[str]] = {}
        bare = {name: template(f"{{{name}}}") for name in ask.values}
        if "{value}" in frame:
            texts = [self._fill(bare[name], ask, 0, said) for name in ask.values]
        else:
            phrases = self.pack.intents[ask.intent].phrases
            chosen = [self._choose(phrases[name], f"{ask.intent}.{name}") for name in ask.values]
            texts = [self._fill(phrase, ask, 0, said) for phrase in chosen]
        text = self.pack.section("join_slots").join(texts)
        return self._finished(frame.replace("{value}", text).replace("{phrase}", text), [said])

    def _small_talk(self, topic: str, texts: Mapping[str, str]) -> Sentence:
        frame = self._choose(self.pack.section("chat_frames"), "chat")
        return self._finished(frame.replace("{say}", self._choose(texts, f"chat.{topic}")), [])

    def _finished(self, text: str, said: list[dict[str, list[str]]]) -> Sentence:
        text = text.replace(" :", ":")
        for pattern, use in self.pack.euphony:
            text = pattern.sub(partial(_in_case, use), text)
        if not text.startswith(self._verbatim):
            text = text[:1].upper() + text[1:]
        return Sentence(text, [_as_written(found, text) for found in said], list(self._rules))


def _in_case(use: str, match: re.Match[str]) -> str:
    return use.capitalize() if match[0].isupper() else use


def _as_written(said: dict[str, list[str]], text: str) -> dict[str, list[str]]:
    """The words as they stand in the text: the first of them may have got a capital."""
    return {
        name: [word if word in text else word[:1].upper() + word[1:] for word in words] for name, words in said.items()
    }
