"""Selection of whole sentences within a budget: those with literals first, then the most informative ones."""

from __future__ import annotations

import heapq
import math
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate

from .budget import PARTS, Budget, BudgetError, count_all
from .capsules import clause_spans, longest_prefix, sentence_spans, words
from .literals import Kept, comparable, missing

_MOST_HOLDERS = 50  # sentences that are considered for one literal
_MISSES = 50  # pieces that did not fit, in a row, until the budget counts as full
_LAST = 1e12  # a place after every sentence
_COMMON = 0.2  # a word in a larger share of the sentences is not informative


@dataclass(frozen=True)
class Piece:
    """A part of a prompt that is kept or dropped as a whole; pieces of more worth are taken first.

    Attributes:
        context: Number of the context that it is from.
        place: Its order among the pieces of its context.
        lead: What separates it from the piece before it: nothing, a space or a line end.
    """

    text: str
    context: int = 0
    place: float = 0
    lead: str = " "
    worth: float = 0.0


@dataclass(frozen=True)
class Selection:
    """The pieces that were taken, in their order.

    `narrowed` are literals without room for a whole sentence; `cut`: not even one sentence fits, so that one was cut.
    """

    pieces: tuple[Piece, ...]
    narrowed: tuple[str, ...] = ()
    cut: bool = False

    @property
    def text(self) -> str:
        """The capsule."""
        return join(self.pieces)

    def by_context(self) -> dict[int, str]:
        """The text of each context of which there is something left."""
        numbers = dict.fromkeys(piece.context for piece in self.pieces)
        return {number: join([piece for piece in self.pieces if piece.context == number]) for number in numbers}


@dataclass
class _Held:
    """A piece that is taken for the literals it holds."""

    piece: Piece
    literals: list[Kept] = field(default_factory=list)


def join(pieces: Iterable[Piece]) -> str:
    """The text of pieces in their order; contexts are set apart by an empty line."""
    parts: list[str] = []
    before: Piece | None = None
    for piece in sorted(pieces, key=_order):
        if before is not None:
            parts.append(piece.lead if piece.context == before.context else PARTS)
        parts.append(piece.text)
        before = piece
    return "".join(parts)


def pieces_of(text: str, context: int = 0) -> list[Piece]:
    """The sentences of a text as pieces, worth more the earlier they come."""
    pieces, end = [], 0
    for start, stop in sentence_spans(text):
        gap = text[end:start]
        lead = "\n" if "\n" in gap else " " if gap else ""
        pieces.append(Piece(text[start:stop], context, start, lead, -start))
        end = stop
    return pieces


def weighed(pieces: Sequence[Piece]) -> list[Piece]:
    """Pieces with their worth as extracts, without repeated ones.

    The worth of a sentence is the mean over its words of the logarithm of the number of sentences that have the word; a
    word in more than a fifth of them counts nothing, numbers and words with a capital count double. In the tradition of
    Luhn's significant words (1958); it needs no question and no model.
    """
    bags = [words(piece.text) for piece in pieces]
    counts = Counter(word for bag in bags for word in set(bag))
    common = max(2, _COMMON * len(pieces))
    seen: set[tuple[str, ...]] = set()
    found = []
    for piece, bag in zip(pieces, bags, strict=True):
        if bag and tuple(bag) in seen:
            continue
        seen.add(tuple(bag))
        telling = sum(math.log1p(counts[word]) for word in set(bag) if counts[word] <= common)
        marked = sum(character.isdigit() or character.isupper() for character in piece.text[1:])
        found.append(replace(piece, worth=(telling + min(marked, len(bag))) / (len(bag) + 5)))
    return found


def select(
    budget: Budget,
    literals: Sequence[Kept],
    fill: Sequence[Piece],
    holders: Sequence[Piece] = (),
    forced: Sequence[Piece] = (),
) -> Selection:
    """Assemble a capsule that holds the literals and the forced pieces, and what fits of `fill`, by worth.

    Holders are pieces of the source, taken only for the literals they hold.

    Raises:
        BudgetError: There is no room for the forced pieces and the bare literals.
    """
    kept, last = list(forced), max((piece.context for piece in (*fill, *holders, *forced)), default=0)
    for _ in range(3):
        held = _cover(missing(join(kept), literals), [*fill, *holders])
        held, narrowed = _narrowed(budget, kept, held)
        base = [*kept, *(item.piece for item in held)]
        taken = {(piece.context, piece.place) for piece in base}
        chosen = _filled(budget, base, [piece for piece in fill if (piece.context, piece.place) not in taken])
        gone = missing(join(chosen), literals)
        if not gone:
            break
        # Where two pieces meet, a literal may have become part of a longer word or number: it then stands alone.
        kept += [_bare(literal, last, len(kept) + number) for number, literal in enumerate(gone)]
    else:
        raise BudgetError(
            f"must_keep · {gone[0].text!r} cannot be set apart from its neighbours · drop it from must_keep"
        )
    cut = not chosen and _cut(budget, fill)
    return Selection(tuple(sorted([cut] if cut else chosen, key=_order)), tuple(narrowed), bool(cut))


def _cover(literals: Sequence[Kept], pieces: Sequence[Piece]) -> list[_Held]:
    """Few and short pieces that hold all literals (greedy set cover); a literal that no piece holds stands alone."""
    if not literals:
        return []
    holders = _holders(literals, pieces)
    held: list[_Held] = []
    missing_ones = set(range(len(literals)))
    queue = [(-len(found) / (len(pieces[at].text) + 10), at) for at, found in holders.items()]
    heapq.heapify(queue)
    while queue and missing_ones:
        _, at = heapq.heappop(queue)
        new = holders[at] & missing_ones
        gain = -len(new) / (len(pieces[at].text) + 10)
        if not new:
            continue
        if queue and gain > queue[0][0]:  # gains only shrink, so the best one is known when it comes up again
            heapq.heappush(queue, (gain, at))
            continue
        held.append(_Held(pieces[at], [literals[number] for number in sorted(new)]))
        missing_ones -= new
    last = max((piece.context for piece in pieces), default=0)
    return held + [_Held(_bare(literals[number], last, number), [literals[number]]) for number in sorted(missing_ones)]


def _holders(literals: Sequence[Kept], pieces: Sequence[Piece]) -> dict[int, set[int]]:
    """For the pieces that hold some literal, which ones."""
    texts = [comparable(piece.text) for piece in pieces]
    whole = "\0".join(texts)
    starts = list(accumulate((len(text) + 1 for text in texts), initial=0))
    found: dict[int, set[int]] = {}
    for number, literal in enumerate(literals):
        key, at, tried = comparable(literal.text), -1, 0
        while tried < _MOST_HOLDERS and (at := whole.find(key, at + 1)) >= 0:
            piece = bisect_right(starts, at) - 1
            if literal.within(texts[piece]):
                found.setdefault(piece, set()).add(number)
                tried += 1
            at = starts[piece + 1] - 1
    return found


def _narrowed(budget: Budget, kept: Sequence[Piece], held: list[_Held]) -> tuple[list[_Held], list[str]]:
    """The same literals in less room if need be: clauses in place of sentences, then the literals alone."""

    def fits(items: Sequence[_Held]) -> bool:
        return budget.fits(join([*kept, *(item.piece for item in items)]))

    if fits(held):
        return held, []
    narrowed: list[str] = []
    for narrow in (_clauses, _alone):
        # The longest pieces are narrowed first, as many as it takes.
        held = sorted(held, key=lambda item: -len(item.piece.text))
        tried = partial(_narrowed_first, held, narrow)
        count = bisect_left(range(len(held)), True, key=lambda count: fits(tried(count)))
        narrowed += [literal.text for item in held[:count] for literal in item.literals]
        held = tried(count)
        if fits(held):
            return held, list(dict.fromkeys(narrowed))
    raise BudgetError(_too_small(budget, kept, held))


def _narrowed_first(held: list[_Held], narrow: Callable[[_Held], _Held], count: int) -> list[_Held]:
    return [*map(narrow, held[:count]), *held[count:]]


def _clauses(item: _Held) -> _Held:
    """The clauses that hold the literals; the whole piece where some literal goes over a comma."""
    text = item.piece.text
    clauses = [text[start:end] for start, end in clause_spans(text)]
    holding = [clause for clause in clauses if len(missing(clause, item.literals)) < len(item.literals)]
    shorter = "; ".join(clause.rstrip(" ,;:") for clause in holding)
    return item if missing(shorter, item.literals) else _Held(replace(item.piece, text=shorter), item.literals)


def _alone(item: _Held) -> _Held:
    text = "; ".join(literal.text for literal in item.literals)
    return _Held(replace(item.piece, text=text, lead="\n"), item.literals)


def _bare(literal: Kept, context: int, number: int) -> Piece:
    """A literal on a line of its own, at the end of a context."""
    return Piece(literal.text, context, _LAST + number, "\n")


def _filled(budget: Budget, base: Sequence[Piece], pieces: Sequence[Piece]) -> list[Piece]:
    """The base and as many more pieces, by worth, as there is room for."""
    used = budget.counts(join(base))
    chosen, misses = list(base), 0
    for piece in sorted(pieces, key=lambda piece: (-piece.worth, _order(piece))):
        cost = count_all(budget.counters, (piece.lead or " ") + piece.text)
        after = {name: used[name] + cost[name] for name in used}
        if all(after[name] <= budget.limits[name] for name in after):
            chosen.append(piece)
            used, misses = after, 0
        elif (misses := misses + 1) > _MISSES:
            break
    # Sums are an estimate: what counts is the prompt as a whole.
    while len(chosen) > len(base) and not budget.fits(join(chosen)):
        chosen.pop()
    return chosen


def _cut(budget: Budget, pieces: Sequence[Piece]) -> Piece | None:
    """The beginning of the best piece, where not even one sentence fits."""
    best = max(pieces, key=lambda piece: piece.worth, default=None)
    text = longest_prefix(best.text, budget.fits) if best else ""
    return replace(best, text=text) if best and text else None


def _too_small(budget: Budget, kept: Sequence[Piece], held: Sequence[_Held]) -> str:
    needed = budget.counts(join([*kept, *(item.piece for item in held)]))
    name = max(needed, key=lambda name: needed[name] - budget.limits[name])
    literals = [literal.text for item in held for literal in item.literals]
    parts = [("instruction", budget.instruction), ("question", budget.question), ("forced contexts", join(kept))]
    sizes = [f"{part} {budget.counters[name](text)}" for part, text in parts if text]
    if literals:
        shown = ", ".join(repr(text[:40]) for text in literals[:5]) + (", ..." if len(literals) > 5 else "")
        sizes.append(f"{len(literals)} literals of must_keep ({shown})")
    return (
        f"the budget is {budget.limits[name]} tokens of {name} · what must be kept takes {needed[name]}: "
        f"{'; '.join(sizes)} · raise the budget to at least {needed[name]}, or keep less"
    )


def _order(piece: Piece) -> tuple[int, float]:
    return piece.context, piece.place
