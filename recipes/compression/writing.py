"""A model that writes capsules: its prompts, and the usable sentences of its completions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...data.chat.renderer import render_prompts
from ...data.compression.budget import CompressionError
from ...data.compression.capsules import clause_spans, clean, sentences
from ...data.compression.literals import Source
from ...data.compression.passage_sets import INSTRUCTION
from ...data.compression.selection import Piece, join, pieces_of, weighed
from ...rewards.capsule.guards import injected, unreadable
from ..parts.models import model_path

if TYPE_CHECKING:
    from ...eval.engines.base import Completion, Engine

TEMPLATE = "{passage}\n\n" + INSTRUCTION
"""What the model is asked, as in training; the question is never in it."""

_WINDOW = 2048  # tokens, where a model does not say
_LONGEST = 16_384  # tokens of a prompt; a longer one is read in parts
_MOST_PARTS = 16  # of one context; more is first reduced to its most informative sentences
_ROOM = 1.5  # times the budget that the model may write; whole sentences are dropped to fit
_PART = 64  # tokens of budget for which one more part is read
_LEAST = 16  # tokens that a model may write in any case
_SAMPLE = 20_000  # characters by which the script of the source is judged


@dataclass(frozen=True)
class Draft:
    """What a model wrote of one context.

    Attributes:
        pieces: Its sentences that can be used; none if it wrote nothing of use.
        notes: What was left out, for people.
    """

    pieces: tuple[Piece, ...]
    notes: tuple[str, ...] = ()


class Writer:
    """A model that compresses passages.

    Args:
        engine: The model.
        template: The message with `{passage}` and `{budget}`.
    """

    def __init__(self, engine: Engine, template: str = TEMPLATE) -> None:
        if "{passage}" not in template:
            raise CompressionError(f"template · found {template!r} · it must say where the {{passage}} stands")
        self.engine, self.template = engine, template
        self.tokenizer = engine.tokenizer

    def write(self, texts: Sequence[str], budgets: Sequence[int]) -> list[Draft]:
        """One draft for each text, all asked for together.

        Args:
            texts: Cleaned contexts.
            budgets: Tokens that each may have.
        """
        asked: list[tuple[int, str, int]] = []
        for number, (text, budget) in enumerate(zip(texts, budgets, strict=True)):
            parts = self._parts(text, budget)
            asked += [(number, part, max(_LEAST, budget // len(parts))) for part in parts]
        written = self._ask([(part, budget) for _, part, budget in asked])
        answers: list[list[str]] = [[] for _ in texts]
        for (number, _, _), text in zip(asked, written, strict=True):
            answers[number].append(text)
        return [_usable("\n".join(filter(None, parts)), text) for parts, text in zip(answers, texts, strict=True)]

    def _ask(self, asked: Sequence[tuple[str, int]]) -> list[str]:
        from ...eval.engines.base import Sampling

        if not asked:
            return []
        prompts = [self._prompt(text, budget) for text, budget in asked]
        sampling = Sampling(temperature=0.0, max_tokens=self._longest_answer(max(budget for _, budget in asked)))
        return [_finished(answer) for (answer,) in self.engine.generate(prompts, sampling)]

    def _prompt(self, text: str, budget: int) -> list[int]:
        message = self.template.replace("{budget}", str(budget)).replace("{passage}", text)
        row = {"id": "prompt", "prompt": [{"role": "user", "content": message}]}
        return render_prompts([row], self.tokenizer)[0]

    def _longest_answer(self, budget: int) -> int:
        return max(_LEAST, min(int(budget * _ROOM), self._window() // 4))

    def _window(self) -> int:
        """Tokens that the model can hold: prompt and answer."""
        config = getattr(getattr(self.engine, "model", None), "config", None)
        most = getattr(config, "max_position_embeddings", 0) or getattr(self.tokenizer, "model_max_length", 0) or 0
        return min(most if 0 < most < 10**9 else _WINDOW, _LONGEST)

    def _parts(self, text: str, budget: int) -> list[str]:
        """A text in parts that the model can hold, between sentences where there are any."""
        room = self._window() - self._longest_answer(budget) - len(self._prompt("", budget))
        most = max(1, min(_MOST_PARTS, budget // _PART))
        parts = list(_packed(pieces_of(text), room, self._count))
        if len(parts) > most:
            best = sorted(weighed(pieces_of(text)), key=lambda piece: -piece.worth)
            chosen, used = [], 0
            for piece in best:
                used += self._count(piece.text) + 1
                if used > room * most:
                    break
                chosen.append(piece)
            parts = list(_packed(sorted(chosen, key=lambda piece: piece.place), room, self._count))[:most]
        return parts

    def _count(self, text: str) -> int:
        return len(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])


@lru_cache(maxsize=2)
def load_writer_engine(model: str) -> Engine:
    """The engine of a model folder, `tiny`, or a model of the local hub cache; kept for the next call.

    Raises:
        CompressionError: There is no such model on this machine.
    """
    folder = Path(model_path(model)).expanduser()
    try:
        if not folder.is_dir():
            from huggingface_hub import snapshot_download

            folder = Path(snapshot_download(model, local_files_only=True))
        from ...eval.engines import load_engine

        return load_engine("transformers", folder)
    except (OSError, ValueError, ImportError) as error:
        raise CompressionError(
            f"model · {model!r} cannot be loaded: {error} · give a folder with weights and tokenizer, a model of the "
            "local hub cache, or 'extractive' for none"
        ) from error


def _packed(pieces: Sequence[Piece], room: int, count: Any) -> Iterator[str]:
    """Neighbouring pieces together while there is room; a piece that is too long alone is cut in halves."""
    held: list[Piece] = []
    used = 0
    for piece in _short_enough(pieces, room, count):
        cost = count(piece.text) + 1
        if held and used + cost > room:
            yield join(held)
            held, used = [], 0
        held.append(piece)
        used += cost
    if held:
        yield join(held)


def _short_enough(pieces: Sequence[Piece], room: int, count: Any) -> Iterator[Piece]:
    for piece in pieces:
        parts = [piece]
        while parts:
            part = parts.pop()
            half = len(part.text) // 2
            # No token is longer than some characters, so that a huge text is halved before it is counted.
            if half == 0 or (len(part.text) < 100 * room and count(part.text) < room):
                yield part
            else:
                rest = replace(part, text=part.text[half:], place=part.place + half)
                parts += [rest, replace(part, text=part.text[:half])]


def _finished(answer: Completion) -> str:
    """The answer without a sentence, or a note, that the end of the room cut off."""
    text = clean(answer.text.rsplit("</think>", 1)[-1]).strip()
    if answer.finish_reason == "stop" or not text:
        return text
    whole = sentences(text)[:-1]
    if whole:
        return text[: text.rindex(whole[-1]) + len(whole[-1])]
    clauses = clause_spans(text)[:-1]
    return text[: clauses[-1][1]].rstrip(" ,;:") if clauses else ""


def _usable(text: str, source: str) -> Draft:
    """The sentences of a draft that are readable and say no number, date or name that the source does not have."""
    known, sample = Source(source), source[:_SAMPLE]
    kept: dict[str, Piece] = {}
    invented = odd = 0
    for piece in _notes(text):
        if known.grounding(piece.text).absent:
            invented += 1
        elif unreadable(piece.text, sample) > 0.5 or injected(piece.text, source):
            odd += 1
        else:
            kept.setdefault(piece.text, piece)
    notes = [f"{invented} sentences of the model were left out: they name what the text does not"] if invented else []
    notes += [f"{odd} sentences of the model were left out: not readable as the text is"] if odd else []
    return Draft(tuple(kept.values()), tuple(notes))


def _notes(text: str) -> list[Piece]:
    """Sentences; of a text without stops, the parts between semicolons."""
    pieces = pieces_of(text)
    if len(pieces) != 1 or ";" not in text:
        return pieces
    parts = [part.strip() for part in text.split(";")]
    return [Piece(part, place=at, lead="; ", worth=-at) for at, part in enumerate(parts) if part]
