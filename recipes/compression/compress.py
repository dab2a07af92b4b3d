"""Prompts in fewer tokens: `from quince import compress_prompt`, call-compatible with LLMLingua's.

Light to import: a model and its library are loaded by the first call that names one.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ...data.compression.budget import PARTS, Budget, CompressionError, Counter, count_all, join_parts
from ...data.compression.capsules import clean
from ...data.compression.literals import KINDS, Kept, Literal, required
from ...data.compression.selection import Piece, Selection, pieces_of, select, weighed
from .counting import make_counters
from .result import CompressedPrompt, measured, without_effect

if TYPE_CHECKING:
    from .writing import Draft, Writer

EXTRACTIVE = "extractive"
MIN_TOKENS = 100


@dataclass(frozen=True)
class _Settings:
    """What all prompts of a call share."""

    instruction: str
    question: str
    rate: float
    target_token: int
    forced: tuple[int, ...]
    must_keep: tuple[Literal, ...]
    min_tokens: int
    counters: Mapping[str, Counter]
    writer: Writer | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Job:
    """One prompt to compress.

    Attributes:
        given: The contexts as they came, and cleaned.
        before: Tokens of the whole prompt as it came, by reader.
        budget: The room.
        literals: What must be kept of the contexts.
        unchanged: Why nothing is to be done; None where something is.
        notes: Warnings.
    """

    given: tuple[str, ...]
    contexts: tuple[str, ...]
    before: Mapping[str, int]
    budget: Budget
    literals: tuple[Kept, ...]
    unchanged: str | None
    notes: tuple[str, ...]


def compress_prompt(
    context: str | Sequence[str],
    instruction: str = "",
    question: str = "",
    rate: float = 0.5,
    target_token: float = -1,
    **options: Any,
) -> CompressedPrompt:
    """Compress the contexts of one prompt; see `compress_prompts`, which takes several prompts.

    Args:
        context: The text, or several, of one prompt.
        instruction: What stands before, kept as it is.
        question: What stands after, kept as it is. The capsule is written without it and serves any other question.
        rate: Share of the prompt's tokens that may be left.
        target_token: Most tokens of the whole prompt; from 0 on it takes the place of `rate`.
        **options: As for `compress_prompts`.

    Raises:
        CompressionError: An argument is wrong, or a model or tokenizer is not on this machine.
        BudgetError: The limit cannot hold what must be kept.
    """
    return compress_prompts([context], instruction, question, rate, target_token, **options)[0]


def compress_prompts(
    prompts: Sequence[str | Sequence[str]],
    instruction: str = "",
    question: str = "",
    rate: float = 0.5,
    target_token: float = -1,
    *,
    model: Any = EXTRACTIVE,
    readers: Any = (),
    must_keep: Iterable[Literal] | str = (),
    force_tokens: Iterable[str] = (),
    force_reserve_digit: bool = False,
    force_context_ids: Iterable[int] | None = None,
    min_tokens: int = MIN_TOKENS,
    concate_question: bool = True,
    template: str | None = None,
    **llmlingua: Any,
) -> list[CompressedPrompt]:
    """Compress several independent prompts; a model writes for all of them in one batch.

    Every new prompt is within its limit for every reader, counted as it will be sent. Sentences are kept or dropped
    whole; one is cut only if not even one fits. No text makes it raise.

    Args:
        prompts: Contexts, or lists of contexts, one entry for each prompt.
        instruction: What stands before each, kept as it is.
        question: What stands after each, kept as it is; no model sees it.
        rate: Share of each reader's tokens of the prompt that may be left, 0 to 1; instruction and question stay
            whole even if they are more.
        target_token: Most tokens of the whole prompt for every reader; from 0 on it takes the place of `rate`.
        model: `extractive` (no model: the most telling sentences), a folder with a trained compressor, a model of the
            local hub cache, or an engine. Nothing is loaded over the network.
        readers: Tokenizers for which the limit holds: objects, folders, functions; by name, in a list, or one. The
            default is the model's; without a model words and marks are counted.
        must_keep: What the contexts have and the new prompt must have: texts, compiled patterns (every match),
            functions (`quince.data.compression.literals.numbers`, `dates`, `names`).
        force_tokens: LLMLingua's: those with a letter or digit are added to `must_keep`, each to be there once; marks
            and line ends stay where their sentences stay.
        force_reserve_digit: Keep all numbers.
        force_context_ids: Numbers of contexts that are kept whole.
        min_tokens: Prompts of fewer tokens for every reader are left as they are, unless `target_token` is less.
        concate_question: Whether the question is part of the prompt.
        template: What a model is asked, with `{passage}` and `{budget}`; the default is that of the shipped recipes.
        **llmlingua: Other arguments of LLMLingua's are taken and have no effect, with a warning.

    Raises:
        CompressionError: An argument is wrong, or a model or tokenizer is not on this machine.
        BudgetError: The limit cannot hold what must be kept.
    """
    started = time.perf_counter()
    literals: list[Literal] = [must_keep] if isinstance(must_keep, str) else list(must_keep)
    literals += [clean(token) for token in force_tokens if any(map(str.isalnum, token))]
    if force_reserve_digit:
        literals.append(KINDS["numbers"])
    _check(rate, literals)
    ignored = without_effect(llmlingua, compress_prompts.__kwdefaults__ or ())
    writer = _writer(model, template)
    counters = make_counters(readers or (writer.tokenizer if writer else ()))
    unnamed = [] if readers or writer else ["no reader is named: words and marks are counted, not tokens"]
    settings = _Settings(
        instruction=clean(instruction),
        question=clean(question) if concate_question else "",
        rate=rate,
        target_token=int(target_token),
        forced=tuple(force_context_ids or ()),
        must_keep=tuple(literals),
        min_tokens=min_tokens,
        counters=counters,
        writer=writer,
        notes=(*unnamed, *ignored),
    )
    jobs = [_numbered(number, len(prompts), _job, prompt, settings) for number, prompt in enumerate(prompts)]
    drafts = _drafts(jobs, settings)
    results = [
        _numbered(number, len(prompts), _compressed, job, settings, draft)
        for number, (job, draft) in enumerate(zip(jobs, drafts, strict=True))
    ]
    seconds = (time.perf_counter() - started) / max(1, len(results))
    return [replace(result, seconds=seconds) for result in results]


def _job(prompt: str | Sequence[str], settings: _Settings) -> _Job:
    given = (prompt,) if isinstance(prompt, str) else tuple(prompt)
    contexts = tuple(map(clean, given))
    for number in settings.forced:
        if not 0 <= number < len(contexts):
            raise CompressionError(f"force_context_ids · {number} · there are {len(contexts)} contexts, counted from 0")
    before = count_all(settings.counters, join_parts(settings.instruction, *given, settings.question))
    limits = dict.fromkeys(before, settings.target_token)
    if settings.target_token < 0:
        frame = count_all(settings.counters, join_parts(settings.instruction, settings.question))
        limits = {name: max(int(settings.rate * count), frame[name]) for name, count in before.items()}
    found, unknown = required(PARTS.join(contexts), settings.must_keep)
    notes = [f"must_keep {entry[:60]!r} is not in the text" for entry in unknown]
    return _Job(
        given,
        contexts,
        before,
        Budget(settings.counters, limits, settings.instruction, settings.question),
        tuple(found),
        _why_unchanged(before, limits, settings),
        tuple(notes),
    )


def _why_unchanged(before: Mapping[str, int], limits: Mapping[str, int], settings: _Settings) -> str | None:
    longest = max(before.values())
    if all(before[name] <= limits[name] for name in before):
        return f"left as it is: {longest} tokens are within the limit"
    if settings.target_token < 0 and longest < settings.min_tokens:
        return f"left as it is: {longest} tokens, below min_tokens {settings.min_tokens}"
    return None


def _drafts(jobs: Sequence[_Job], settings: _Settings) -> list[dict[int, Draft]]:
    """What the model writes of each context that is to be put in fewer tokens, by prompt."""
    if settings.writer is None:
        return [{} for _ in jobs]
    asked = [
        (at, number)
        for at, job in enumerate(jobs)
        if job.unchanged is None
        for number, context in enumerate(job.contexts)
        if number not in settings.forced and context.strip()
    ]
    texts = [jobs[at].contexts[number] for at, number in asked]
    written = settings.writer.write(texts, [_share(jobs[at], number) for at, number in asked])
    drafts: list[dict[int, Draft]] = [{} for _ in jobs]
    for (at, number), draft in zip(asked, written, strict=True):
        drafts[at][number] = draft
    return drafts


def _share(job: _Job, number: int) -> int:
    """Tokens of a context: its part, by characters, of the room that instruction and question leave."""
    name = next(iter(job.budget.limits))
    room = job.budget.limits[name] - job.budget.counts("")[name]
    return max(1, room * len(job.contexts[number]) // max(1, sum(map(len, job.contexts))))


def _compressed(job: _Job, settings: _Settings, drafts: Mapping[int, Draft]) -> CompressedPrompt:
    if job.unchanged is not None:
        whole = join_parts(settings.instruction, *job.given, settings.question)
        warnings = [*settings.notes, *job.notes, job.unchanged]
        return measured(job.contexts, whole, dict(enumerate(job.given)), warnings, job.before, job.budget)
    notes: list[str] = []
    fill: list[Piece] = []
    holders: list[Piece] = []
    forced: list[Piece] = []
    for number, context in enumerate(job.contexts):
        pieces = pieces_of(context, number)
        if number in settings.forced:
            forced.append(Piece(context, number))
            continue
        draft = drafts.get(number)
        if draft is not None:
            notes += draft.notes
        if draft is not None and draft.pieces:
            fill += [replace(piece, context=number) for piece in draft.pieces]
            holders += [replace(piece, place=piece.place + 1e9) for piece in pieces]
        else:
            notes += ["the model wrote nothing of use: sentences of the text are kept"] if draft is not None else []
            fill += weighed(pieces)
    selection = select(job.budget, job.literals, fill, holders, forced)
    warnings = [*settings.notes, *job.notes, *dict.fromkeys([*notes, *_notes_of(selection)])]
    text, left = selection.text, selection.by_context()
    return measured(job.contexts, job.budget.prompt(text), left, warnings, job.before, job.budget, text)


def _notes_of(selection: Selection) -> list[str]:
    notes = []
    if selection.narrowed:
        shown = ", ".join(repr(literal[:40]) for literal in selection.narrowed[:5])
        notes.append(f"no room for a whole sentence around {len(selection.narrowed)} of must_keep: {shown}")
    if selection.cut:
        notes.append("not even one sentence fits the limit: one was cut")
    elif not selection.pieces:
        notes.append("nothing of the contexts fits the limit")
    return notes


def _numbered(number: int, count: int, step: Any, *arguments: Any) -> Any:
    """A step for one prompt, whose errors say which one it is."""
    try:
        return step(*arguments)
    except CompressionError as error:
        where = "compress_prompt" if count == 1 else f"compress_prompts · prompt {number}"
        raise type(error)(f"{where} · {error}") from None


def _writer(model: Any, template: str | None) -> Writer | None:
    if isinstance(model, str) and model == EXTRACTIVE:
        return None
    from .writing import TEMPLATE, Writer, load_writer_engine

    engine = model if hasattr(model, "generate") and hasattr(model, "tokenizer") else load_writer_engine(str(model))
    return Writer(engine, template or TEMPLATE)


def _check(rate: float, must_keep: Sequence[Literal]) -> None:
    if not 0 <= rate <= 1:
        raise CompressionError(f"compress_prompt · rate · {rate} · the share that may be left, 0 to 1")
    for entry in must_keep:
        if not (isinstance(entry, str | re.Pattern) or callable(entry)):
            fix = "a text, a compiled pattern or a function"
            raise CompressionError(f"compress_prompt · must_keep · {entry!r} · {fix}")
