"""Control tokens of a tokenizer, and how text that merely spells them is kept from becoming them.

A chat template marks turns with tokens such as `<|im_start|>`. A tokenizer finds those strings wherever they are, so
a user's message, a tool's result or an argument that spells one would open a turn of its own. Here such strings are
taken out of the text before the template sees it, and come back as the ordinary tokens of their letters.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from typing import Any

_STEERING = re.compile(r"<\|.*\|>|</?(?:think|tools?|tool_\w+|function\w*|\w+_of_turn)>|\[/?[A-Z_]+\]")
"""Added tokens that steer a conversation even if the template at hand does not write them; `<table>` does not."""
_STAND_INS = range(0x100000, 0x10FFFE)
"""Private-use characters."""


@dataclass(frozen=True)
class ControlTokens:
    """The control tokens of one tokenizer with one chat template.

    Attributes:
        tokenizer: A fast tokenizer of transformers.
        special: Strings that nobody may write: they begin or end turns.
        tags: Other single tokens that steer, such as `<tool_call>`. The author of a system prompt and the assistant
            may write them; users, tools and arguments may not.
    """

    tokenizer: Any
    special: tuple[str, ...]
    tags: tuple[str, ...]

    @cached_property
    def for_authors(self) -> re.Pattern[str]:
        """Finds what system and assistant turns may not contain."""
        return _any_of(self.special)

    @cached_property
    def for_others(self) -> re.Pattern[str]:
        """Finds what users, tools and arguments may not contain."""
        return _any_of(self.special + self.tags)

    @cached_property
    def _ids(self) -> frozenset[int]:
        return frozenset(self.tokenizer.convert_tokens_to_ids([*self.special, *self.tags]))

    @cached_property
    def _plain(self) -> Any:
        """The same tokenizer without any added token."""
        from tokenizers import Tokenizer

        state = json.loads(self.tokenizer.backend_tokenizer.to_str())
        return Tokenizer.from_str(json.dumps(state | {"added_tokens": [], "post_processor": None}))

    def spell(self, text: str) -> list[int]:
        """Token ids of a control token's letters."""
        ids = self._plain.encode(text, add_special_tokens=False).ids
        if self._ids.isdisjoint(ids):
            return ids
        # A vocabulary that holds the whole string as an ordinary piece cannot join it across two inputs.
        halves = (text[:1], text[1:])
        return [token for half in halves for token in self._plain.encode(half, add_special_tokens=False).ids]


def control_tokens(tokenizer: Any, template: str) -> ControlTokens:
    """Find the control tokens of a tokenizer: special ones, and added ones that the template writes or that steer."""
    return _control_tokens(tokenizer, template, len(tokenizer))


@lru_cache(maxsize=16)
def _control_tokens(tokenizer: Any, template: str, size: int) -> ControlTokens:
    """By vocabulary size as well: tokens may be added to a tokenizer later."""
    special = {token for token in tokenizer.all_special_tokens if token}
    added = {token.content for token in tokenizer.added_tokens_decoder.values() if token.content.strip()}
    special |= {token.content for token in tokenizer.added_tokens_decoder.values() if token.special}
    tags = {text for text in added - special if text in template or _STEERING.fullmatch(text)}
    return ControlTokens(tokenizer, tuple(sorted(special)), tuple(sorted(tags)))


@dataclass
class Escape:
    """Replaces each control token in the texts of one row by a character that the row does not use.

    Attributes:
        tokens: What to look for.
        free: Characters to use.
        found: Stand-in to control token.
    """

    tokens: ControlTokens
    free: Iterator[str]
    found: dict[str, str] = field(default_factory=dict)

    def messages(self, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Messages whose texts hold no control token that their role may not write."""
        return [self._message(message) for message in messages]

    def tools(self, tools: list[dict[str, Any]] | None) -> list[dict[str, Any]] | None:
        """Tools whose texts hold no control token."""
        return tools and self._walk(tools, self.tokens.for_others)

    def _message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        others = self.tokens.for_others
        own = self.tokens.for_authors if message["role"] in ("system", "assistant") else others
        texts = {key: self._walk(value, others if key == "tool_calls" else own) for key, value in message.items()}
        return texts | {"role": message["role"]}

    def _walk(self, value: Any, pattern: re.Pattern[str]) -> Any:
        if isinstance(value, str):
            return pattern.sub(self._stand_in, value)
        if isinstance(value, Mapping):
            return {self._walk(key, pattern): self._walk(item, pattern) for key, item in value.items()}
        return [self._walk(item, pattern) for item in value] if isinstance(value, list) else value

    def _stand_in(self, match: re.Match[str]) -> str:
        known = (character for character, text in self.found.items() if text == match.group())
        character = next(known, None) or next(self.free)
        self.found[character] = match.group()
        return character


def escape_for(tokens: ControlTokens, *values: Any) -> Escape | None:
    """An escape for these messages and tools, or None where nothing in them spells a control token."""
    text = json.dumps(values, ensure_ascii=False)
    if tokens.for_others.search(text) is None:
        return None
    return Escape(tokens, (chr(code) for code in _STAND_INS if chr(code) not in text))


def pieces(text: str, stand_ins: Mapping[str, str], cuts: Sequence[int] = ()) -> Iterator[tuple[int, str]]:
    """Cut a rendered text at stand-ins, which are pieces of their own, and at `cuts`; yields (start, piece)."""
    found = [index for index, character in enumerate(text) if character in stand_ins] if stand_ins else []
    places = {0, len(text), *cuts, *found, *(index + 1 for index in found)}
    for start, end in pairwise(sorted(places)):
        yield start, text[start:end]


def _any_of(strings: Sequence[str]) -> re.Pattern[str]:
    """Longest first, so that one string inside another does not hide it; of nothing, a pattern that never matches."""
    return re.compile("|".join(map(re.escape, sorted(strings, key=len, reverse=True))) or r"(?!)")
