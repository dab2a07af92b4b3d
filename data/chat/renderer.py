"""Rows to token ids, through the tokenizer's chat template: one way for training, generation and evaluation."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..limits import time_limit
from ..rows import RowError
from .control_tokens import ControlTokens, control_tokens, escape_for, pieces

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
