"""The result of compressing a prompt: LLMLingua's fields, and some more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from ...data.compression.budget import PARTS, Budget, count_all
from ...data.compression.capsules import sentences
from ...data.compression.literals import KINDS, Grounding, Kept, Source, comparable, missing

_WITHOUT_MEANING = frozenset(
    "iterative_size force_context_number use_sentence_level_filter use_context_level_filter use_token_level_filter "
    "keep_split keep_first_sentence keep_last_sentence keep_sentence_number high_priority_bonus context_budget "
    "token_budget_ratio condition_in_question reorder_context dynamic_context_compression_ratio condition_compare "
    "add_instruction rank_method context_segs context_segs_rate context_segs_compress target_context "
    "context_level_rate context_level_target_token return_word_label word_sep label_sep token_to_word drop_consecutive "
    "chunk_end_tokens strict_preserve_uncompressed".split()
)
"""Arguments of LLMLingua 0.2.2 that control the dropping of single tokens, which does not happen here."""


def without_effect(arguments: Mapping[str, Any], own: Iterable[str]) -> list[str]:
    """A warning for each argument of LLMLingua that has no effect here.

    Args:
        arguments: Arguments that the call does not have itself.
        own: Names that it has, for the message.

    Raises:
        TypeError: LLMLingua does not have an argument either.
    """
    for name in arguments:
        if name not in _WITHOUT_MEANING:
            from ..config.language.errors import did_you_mean

            hint = did_you_mean(name, [*own, "rate", "target_token", *_WITHOUT_MEANING])
            raise TypeError(f"compress_prompt has no argument {name!r}" + (f" · {hint}" if hint else ""))
    return [f"{name} has no effect here: no token is dropped alone" for name in arguments]


@dataclass(frozen=True)
class TokenCount:
    """Tokens of a prompt in one tokenizer: before and after, and the most there may be."""

    before: int
    after: int
    limit: int


@dataclass(frozen=True)
class Dropped:
    """The parts of the contexts that were lost.

    Attributes:
        contexts: Numbers of the contexts that were dropped whole.
        sentences: Sentences that are not in the prompt word for word; a model may have put them in other words.
        literals: Numbers, dates and names that are not in it.
    """

    contexts: tuple[int, ...] = ()
    sentences: tuple[str, ...] = ()
    literals: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class CompressedPrompt(Mapping[str, Any]):
    """A compressed prompt; `result["compressed_prompt"]` and `result.compressed_prompt` are the same.

    Attributes:
        compressed_prompt: Instruction, what is left of the contexts, question.
        compressed_prompt_list: What is left of each context of which something is left.
        origin_tokens: Tokens of the whole prompt before, in the first reader's tokenizer.
        compressed_tokens: Tokens after, likewise.
        ratio: How many times shorter; before by after.
        rate: Share of tokens that is left; after by before.
        tokens: The same for every reader.
        seconds: Time taken; in a batch, the mean.
        grounding: Share of numbers, dates and names of the new text that the contexts have.
        absent: Those that they have not.
        dropped: What was lost.
        skipped: Whether the prompt was left as it was.
        warnings: One line each.
    """

    compressed_prompt: str
    compressed_prompt_list: tuple[str, ...]
    origin_tokens: int
    compressed_tokens: int
    ratio: float
    rate: float
    tokens: Mapping[str, TokenCount]
    seconds: float
    grounding: float = 1.0
    absent: tuple[str, ...] = ()
    dropped: Dropped = Dropped()
    skipped: bool = False
    warnings: tuple[str, ...] = ()

    def __getitem__(self, key: str) -> Any:
        if key not in _KEYS:
            raise KeyError(key)
        return getattr(self, key)

    def __iter__(self) -> Iterator[str]:
        return iter(_KEYS)

    def __len__(self) -> int:
        return len(_KEYS)


_KEYS = tuple(field.name for field in fields(CompressedPrompt))


def measured(
    contexts: Sequence[str],
    prompt: str,
    by_context: Mapping[int, str],
    warnings: Iterable[str],
    before: Mapping[str, int],
    budget: Budget,
    text: str | None = None,
) -> CompressedPrompt:
    """The result with all its numbers but the seconds.

    Args:
        contexts: The contexts that were compressed, cleaned.
        prompt: The whole new prompt.
        by_context: What is left of each context.
        warnings: What the user should know.
        before: Tokens of the old prompt, by reader.
        budget: Counters and limits of the readers.
        text: What replaces the contexts; None if they were left unchanged.
    """
    after = before if text is None else count_all(budget.counters, prompt)
    first = next(iter(after))
    grounding, dropped = Grounding(1.0, ()), Dropped()
    if text is not None:
        source = PARTS.join(contexts)
        grounding = Source(source).grounding(text)
        kept, literals = comparable(text), [Kept(literal) for find in KINDS.values() for literal in find(source)]
        dropped = Dropped(
            contexts=tuple(n for n, old in enumerate(contexts) if old.strip() and n not in by_context),
            sentences=tuple(sentence for sentence in sentences(source) if comparable(sentence) not in kept),
            literals=tuple(dict.fromkeys(literal.text for literal in missing(text, literals))),
        )
    return CompressedPrompt(
        compressed_prompt=prompt,
        compressed_prompt_list=tuple(by_context.values()),
        origin_tokens=before[first],
        compressed_tokens=after[first],
        ratio=before[first] / after[first] if after[first] else 1.0,
        rate=after[first] / before[first] if before[first] else 1.0,
        tokens={name: TokenCount(before[name], after[name], budget.limits[name]) for name in after},
        seconds=0.0,
        grounding=grounding.score,
        absent=grounding.absent,
        dropped=dropped,
        skipped=text is None,
        warnings=tuple(warnings),
    )
