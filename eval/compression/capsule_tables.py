"""Results as tables of text; shares in percent with 95 % intervals over passages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ..measure.metrics import Unit
from ..measure.statistics import Interval
from ..show.tables import Grid, p_text, spread
from . import measures
from .costs import cost_rows, costs
from .results import CAPSULE, LABELS, Results

READS = (1, 10, 100, 1000)
_NONE = "–"


@dataclass(frozen=True)
class Entry:
    """One compressor on one set of passages, with the index of its colour in charts."""

    model: str
    results: Results
    colour: int = 0


def suite_grids(entries: Sequence[Entry]) -> list[Grid]:
    """Return every table of one set of passages: compressors side by side, then each alone."""
    grids = [compressor_grid(entries)] if len(entries) > 1 else []
    for entry in entries:
        own = [accuracy_grid(entry), difference_grid(entry), figure_grid(entry), latency_grid(entry), cost_grid(entry)]
        grids += [grid for grid in own if grid.rows]
    return grids


def compressor_grid(entries: Sequence[Entry]) -> Grid:
    """One line for each compressor: the accuracy of readers on its capsules, and what these cost."""
    readers = list(dict.fromkeys(name for entry in entries for name in entry.results.readers))
    header = ["Compressor", *(f"Right, {name}" for name in readers), *(f"Transfer to {name}" for name in readers[1:])]
    header += ["Length cut", "Over budget", "Grounded", "Leak"]
    return Grid("Compressors", tuple(header), tuple(_compressor(entry, readers) for entry in entries))


def _compressor(entry: Entry, readers: Sequence[str]) -> tuple[str, ...]:
    results, first = entry.results, entry.results.readers[0]
    own = set(results.readers)
    right = [_share(measures.accuracy(results, CAPSULE, name)) if name in own else _NONE for name in readers]
    moved = [_ratio(measures.transfer(results, name)) if name in own else _NONE for name in readers[1:]]
    cut, over = measures.length_cut(results, first), measures.over_budget(results)
    rest = [_share(cut), _share(over), _share(measures.grounding(results)), _signed(measures.leak(results, first))]
    return (entry.model, *right, *moved, *rest)


def accuracy_grid(entry: Entry) -> Grid:
    """Accuracy of each reader on each source, and the length of the sources."""
    results = entry.results
    header = ("Read", *(f"Right, {name}" for name in results.readers), *(f"Tokens, {n}" for n in results.readers))
    rows = []
    for source in results.sources:
        right = [_share(measures.accuracy(results, source, name)) for name in results.readers]
        tokens = [f"{measures.mean_tokens(results, source, name):.1f}" for name in results.readers]
        rows.append((LABELS[source], *right, *tokens))
    return Grid(f"{entry.model}: right answers, %", header, tuple(rows), " ".join(results.notes))


def difference_grid(entry: Entry) -> Grid:
    """Capsules minus every other source, paired by passage."""
    results = entry.results
    header = ["Capsule minus"]
    for name in results.readers:
        header += [name, f"p, {name}"]
    rows = []
    for source in results.sources:
        if source != CAPSULE:
            gains = [measures.gain(results, source, name) for name in results.readers]
            rows.append(
                (_with_length(results, source), *(cell for gain in gains for cell in (_signed(gain), p_text(gain))))
            )
    note = "Paired by passage. A share behind a name: so much longer or shorter than the capsules, in tokens."
    return Grid(f"{entry.model}: differences in points", tuple(header), tuple(rows), note)


def figure_grid(entry: Entry) -> Grid:
    """Properties of capsules other than accuracy, with a column for each reader where they depend on it."""
    results, readers = entry.results, entry.results.readers
    longest = max(0, *(tokens - most for tokens, most in zip(results.written, results.budgets, strict=True)))
    lines: list[tuple[str, Callable[[str], str]]] = [
        ("Length cut, %", lambda r: _share(measures.length_cut(results, r))),
        ("Kept of the accuracy on full passages, %", lambda r: _share(measures.retention(results, r))),
        ("Transfer ratio to this reader", lambda r: _ratio(None if r == readers[0] else measures.transfer(results, r))),
        ("Swapped capsule minus no context, points", lambda r: _signed(measures.leak(results, r))),
        ("Written over the budget, %", _first(readers, lambda: _share(measures.over_budget(results)))),
        ("Longest capsule over its budget, tokens", _first(readers, lambda: str(longest))),
        ("Ended by itself, %", _first(readers, lambda: _share(measures.ended(results)))),
        ("Grounded, %", _first(readers, lambda: _share(measures.grounding(results)))),
        ("Cosine with the passage", _first(readers, lambda: _ratio(measures.similarity(results)))),
    ]
    rows = tuple((name, *(of(reader) for reader in readers)) for name, of in lines)
    note = (
        "The budget is counted by the first reader, on what was written; readers get it cut to the budget. Grounding "
        "is of what was written, cosine of what is read."
    )
    return Grid(f"{entry.model}: capsules", ("", *readers), rows, note)


def latency_grid(entry: Entry) -> Grid:
    """Seconds of compressor and readers, and the number of reads that pay for compressing."""
    rows = []
    for reader, timings in entry.results.timings.items():
        for timing in timings:
            seconds = [f"{1e3 * value / timing.batch:.2f}" for value in (timing.compress, timing.full, timing.capsule)]
            reads = _reads(timing.reads_to_pay)
            rows.append((f"{reader}, batch {timing.batch}", *seconds, f"{timing.ratio:.2f}", reads))
    header = ("Reader", "Compress, ms", "Read passage, ms", "Read capsule, ms", "Ratio", "Reads to pay")
    note = "Medians for one passage and one question. The ratio leaves the compressor out; reads to pay count it."
    return Grid(f"{entry.model}: time", header, tuple(rows), note)


def cost_grid(entry: Entry) -> Grid:
    """Money for a thousand passages at the stated prices; no rows without prices."""
    results, prices = entry.results, entry.results.prices
    money = ("Passage", "Passage, cached prefix", "Capsule and compressor")
    header = ("Reads of each", *money, "Saved, %", "Saved, cached, %")
    if prices is None:
        return Grid("", header, ())
    of = costs(prices, measures.lengths(results, results.readers[0]))
    rows = []
    for reads, full, cached, capsule in cost_rows(of, READS):
        kept = _NONE if cached is None else f"{cached:.4g}"
        saved = [f"{100 * (1 - capsule / before):.1f}" if before else _NONE for before in (full, cached)]
        rows.append((str(reads), f"{full:.4g}", kept, f"{capsule:.4g}", *saved))
    pays = [f"Reads to pay: {_reads(of.reads_to_pay)} at the list price"]
    if of.cached is not None:
        pays.append(f"{_reads(of.reads_to_pay_cached)} against a cached prefix")
    note = f"{', '.join(pays)}. Prices: {prices.stated}. Input tokens only: question and answer cost the same in all."
    return Grid(f"{entry.model}: {prices.currency} for 1000 passages", header, tuple(rows), note)


def _with_length(results: Results, source: str) -> str:
    """A source's name, and where it is not as long as the capsules, by how much."""
    if measures.equal_tokens(results, source):
        return LABELS[source]
    more = measures.token_difference(results, source)
    return f"{LABELS[source]} ({'longer' if more == float('inf') else f'{100 * more:+.0f} %'})"


def _first(readers: Sequence[str], text: Callable[[], str]) -> Callable[[str], str]:
    """A figure that does not depend on the reader: only in the first column."""
    return lambda reader: text() if reader == readers[0] else ""


def _reads(reads: int | None) -> str:
    return "never" if reads is None else str(reads)


def _share(interval: Interval | None, unit: Unit = "proportion", signed: bool = False) -> str:
    return _NONE if interval is None else spread(interval, unit, signed=signed)


_signed = partial(_share, signed=True)
_ratio = partial(_share, unit="reward")
