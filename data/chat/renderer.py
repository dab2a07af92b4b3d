"""Conversations as tokens: one renderer for training, RL and evaluation; control tokens in content stay text."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..limits import time_limit
from ..rows import RowError

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


TEMPLATES = Path(__file__).parent / "templates"

_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")
_TEMPLATE_S = 10.0
Span = tuple[int, int]


@dataclass(frozen=True)
class Rendered:
    """A conversation as tokens.

    Attributes:
        ids: Token ids, `[tokens]`.
        written: For each token, whether the assistant writes it: its text, its calls and the token that ends its turn.
    """

    ids: list[int]
    written: list[bool]


def template_file(name_or_path: str) -> Path | None:
    """The file of a chat template: a path, or the name of one that ships with Quince (`hermes_signatures`)."""
    candidates = (Path(name_or_path).expanduser(), TEMPLATES / f"{name_or_path}.jinja")
    return next(filter(Path.is_file, candidates), None)


def read_template(name_or_path: str) -> str:
    """The text of a chat template; raises `RowError` if there is no `template_file`."""
    if file := template_file(name_or_path):
        return file.read_text(encoding="utf-8")
    names = ", ".join(shipped_templates())
    raise RowError(f"chat_template · no such file {name_or_path!r} · a Jinja file, or one of {names}")


def shipped_templates() -> list[str]:
    """Names of the chat templates that ship with Quince."""
    return sorted(path.stem for path in TEMPLATES.glob("*.jinja"))


def render_prompt(row: Mapping[str, Any], tokenizer: Any, **template_kwargs: Any) -> list[int]:
    """Token ids of one row's prompt, see `render_prompts`."""
    return render_prompts([row], tokenizer, **template_kwargs)[0]


def render_prompts(
    rows: Sequence[Mapping[str, Any]], tokenizer: Any, *, longest: int | None = None, **template_kwargs: Any
) -> list[list[int]]:
    """Token ids of rows' prompts, each ending where the assistant is to speak.

    Args:
        rows: Rows with ``prompt``; ``tools`` (a JSON string) is parsed and given to the template.
        tokenizer: A transformers tokenizer with a chat template.
        longest: Tokens of a prompt at most; a longer one loses its beginning.
        **template_kwargs: More arguments of the template, for example ``enable_thinking=False``.

    Raises:
        RowError: If a row has no ``prompt``.
    """
    for row in rows:
        if row.get("prompt") is None:
            raise RowError(f"{row.get('id')} · prompt · missing · render SFT rows with a Renderer")
    rendered = Renderer(tokenizer, **template_kwargs).render_all(
        [(row, row["prompt"]) for row in rows], add_generation_prompt=True
    )
    return [prompt.ids[-longest:] if longest else prompt.ids for prompt in rendered]


class Renderer:
    """Renders rows with one tokenizer and template.

    For text that spells no control token the ids are those of `tokenizer.apply_chat_template`. A control token in
    content becomes the tokens of its letters, see `control_tokens`. The first letters of an answer never merge with
    the end of the header before it into one token, since in generation they cannot.

    Args:
        tokenizer: A fast transformers tokenizer.
        chat_template: Used in place of the tokenizer's.
        **template_kwargs: More arguments of the template.
    """

    def __init__(self, tokenizer: Any, chat_template: str | None = None, **template_kwargs: Any) -> None:
        self.tokenizer = tokenizer
        self.chat_template = chat_template
        self.arguments = {**tokenizer.special_tokens_map, **template_kwargs}

    def render(self, row: Mapping[str, Any], messages: Sequence[Mapping[str, Any]], **kwargs: Any) -> Rendered:
        """Tokens of one conversation; `row` gives its tools and its id for messages."""
        return self.render_all([(row, messages)], **kwargs)[0]

    def render_all(
        self, conversations: Iterable[tuple[Mapping[str, Any], Sequence[Mapping[str, Any]]]], **kwargs: Any
    ) -> list[Rendered]:
        """Tokens of many conversations; faster than one by one."""
        texts = [self._text(row, messages, **kwargs) for row, messages in conversations]
        plain = [index for index, (_, _, escaped) in enumerate(texts) if not escaped]
        encoded = self._encode([texts[index][0] for index in plain])
        rendered: dict[int, Rendered] = {}
        for index, (ids, offsets) in zip(plain, encoded, strict=True):
            spans = texts[index][1]
            if not _straddles(offsets, spans):
                rendered[index] = Rendered(ids, _inside(offsets, spans))
        return [rendered.get(index) or self._in_pieces(*texts[index]) for index in range(len(texts))]

    def _text(
        self, row: Mapping[str, Any], messages: Sequence[Mapping[str, Any]], **kwargs: Any
    ) -> tuple[str, list[Span], dict[str, tuple[str, ControlTokens]]]:
        """The rendered text, the spans that the assistant writes, and what stands in for control tokens."""
        from transformers.utils.chat_template_utils import render_jinja_template

        tools = json.loads(row["tools"]) if row.get("tools") else None
        template = self.tokenizer.get_chat_template(self.chat_template, tools)
        tokens = control_tokens(self.tokenizer, template)
        chat = [template_message(message, row.get("id")) for message in messages]
        if escape := escape_for(tokens, chat, tools):
            chat, tools = escape.messages(chat), escape.tools(tools)
        where = f"{row.get('id', 'a conversation')} · chat template"
        late = RowError(f"{where} · no text within {_TEMPLATE_S:g} s · mend its loops, or name another chat_template")
        try:
            with time_limit(_TEMPLATE_S, late):
                (text,), spans = render_jinja_template(
                    conversations=[chat],
                    tools=tools or None,
                    chat_template=template,
                    return_assistant_tokens_mask=bool(_GENERATION.search(template)),
                    **{**self.arguments, **kwargs},
                )
        except RowError:
            raise
        except Exception as error:  # whatever a template of anybody may raise
            reason = f"{type(error).__name__}: {error}".partition("\n")[0]
            raise RowError(f"{where} · {reason} · mend it, or name another chat_template") from error
        found = {character: (string, tokens) for character, string in escape.found.items()} if escape else {}
        # Some templates mark the line break after the token that ends a turn as written too; no model generates it.
        trimmed = [(start, start + len(text[start:end].rstrip())) for start, end in (spans[0] if spans else [])]
        return text, trimmed, found

    def _in_pieces(self, text: str, spans: list[Span], escaped: Mapping[str, tuple[str, ControlTokens]]) -> Rendered:
        ids: list[int] = []
        offsets: list[Span] = []
        parts = list(pieces(text, {key: string for key, (string, _) in escaped.items()}, [start for start, _ in spans]))
        ordinary = iter(self._encode([part for _, part in parts if part not in escaped]))
        for start, part in parts:
            if part in escaped:
                string, tokens = escaped[part]
                more = tokens.spell(string)
                places = [(0, 1)] * len(more)
            else:
                more, places = next(ordinary)
            ids += more
            offsets += [(start + first, start + last) for first, last in places]
        return Rendered(ids, _inside(offsets, spans))

    def _encode(self, texts: list[str]) -> list[tuple[list[int], list[Span]]]:
        if not texts:
            return []
        # The template writes every special token itself; a second BOS would shift the model.
        encoded = self.tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
        return list(zip(encoded["input_ids"], encoded["offset_mapping"], strict=True))


def template_message(message: Mapping[str, Any], where: Any = "") -> dict[str, Any]:
    """A message as chat templates want it: no keys that a column store filled with null, arguments as a mapping."""
    kept = {key: value for key, value in message.items() if value is not None}
    if "tool_calls" in kept:
        kept["tool_calls"] = [_call(call, where) for call in kept["tool_calls"]]
        kept.setdefault("content", "")
    return kept


def _call(call: Mapping[str, Any], where: Any) -> dict[str, Any]:
    function = {key: value for key, value in call.get("function", call).items() if value is not None}
    arguments = function.get("arguments", "{}")
    try:
        function["arguments"] = json.loads(arguments) if isinstance(arguments, str) else arguments
    except json.JSONDecodeError as error:
        raise RowError(f"{where} · arguments · found {arguments!r} · give a JSON object ({error})") from None
    return {"type": "function", "function": function}


def _straddles(offsets: Sequence[Span], spans: Sequence[Span]) -> bool:
    """Whether a token begins before a span and ends inside it."""
    firsts = [first for first, _ in offsets]
    before = [bisect_left(firsts, start) - 1 for start, _ in spans]
    return any(index >= 0 and offsets[index][1] > start for index, (start, _) in zip(before, spans, strict=True))


def _inside(offsets: Sequence[Span], spans: Sequence[Span]) -> list[bool]:
    """For each token whether it begins inside a span."""
    firsts = [first for first, _ in offsets]
    written = [False] * len(firsts)
    for start, end in spans:
        low, high = bisect_left(firsts, start), bisect_left(firsts, end)
        written[low:high] = [True] * (high - low)
    return written
