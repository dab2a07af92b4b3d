"""Two charts as SVG text: accuracy by source and reader, and time against the number of reads."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log2, log10

from ..measure.statistics import Interval
from ..show.figures import Scale, axis_names, dot, legend, line, percent, svg, text, x_tick, y_tick
from . import measures
from .costs import Timing
from .results import LABELS, Results

_WIDTH, _LEFT, _RIGHT, _TOP, _BAR = 620, 132, 52, 30, 15
_ACROSS = Scale(0, 1, _LEFT, _WIDTH - _RIGHT)
_TIME_WIDTH, _TIME_HEIGHT, _TIME_LEFT, _TIME_BOTTOM = 620, 320, 56, 46
_READS = tuple(2**power for power in range(11))
_SHARES = tuple(digit * 10.0**power for power in range(-3, 4) for digit in (1, 2, 5))


def accuracy_chart(results: Results, title: str) -> str:
    """Draw the accuracy on each source: a bar for each reader, with its 95 % interval."""
    row = 10 + _BAR * len(results.readers)
    bottom = _TOP + row * len(results.sources)
    ticks = [x_tick(_ACROSS(tick / 100), f"{tick}", bottom, _TOP) for tick in range(0, 101, 20)]
    parts = [legend(results.readers, _LEFT)[0], *ticks]
    for index, source in enumerate(results.sources):
        top = _TOP + row * index + 5
        parts.append(text(_LEFT - 10, top + _BAR * len(results.readers) / 2 + 4, LABELS[source], "end"))
        for place, reader in enumerate(results.readers):
            value = measures.accuracy(results, source, reader)
            parts.append(_bar(value, f"{reader}, {LABELS[source]}", place, top + _BAR * place))
    parts.append(text((_LEFT + _WIDTH - _RIGHT) / 2, bottom + 34, "right answers, %", kind="axis"))
    return svg(parts, _WIDTH, bottom + 40, title)


def break_even_chart(timings: Sequence[Timing], title: str) -> str:
    """Draw time with capsules, compressing included, relative to time without, over the reads of each capsule.

    Both axes are logarithmic. A line for each batch size, with a dot at the read that has paid for compressing.
    """
    shares = [timing.share_after(reads) for timing in timings for reads in _READS]
    low = max((s for s in _SHARES if s <= min(0.5, *shares)), default=_SHARES[0])
    high = min((s for s in _SHARES if s >= max(1.0, *shares)), default=_SHARES[-1])
    bottom, right = _TIME_HEIGHT - _TIME_BOTTOM, _TIME_WIDTH - 14
    across, up = Scale(0, log2(_READS[-1]), _TIME_LEFT, right), Scale(log10(low), log10(high), bottom, _TOP)

    def place(timing: Timing, reads: int) -> tuple[float, float]:
        return across(log2(reads)), up(log10(timing.share_after(reads)))

    parts = [legend([_named(timing) for timing in timings], _TIME_LEFT)[0]]
    for share in (share for share in _SHARES if low <= share <= high):
        kind = "guide" if share == 1 else "grid"
        parts.append(y_tick(up(log10(share)), f"{100 * share:g}", _TIME_LEFT, right, kind))
    parts += [x_tick(across(log2(reads)), str(reads), bottom) for reads in _READS]
    for colour, timing in enumerate(timings):
        parts.append(line([place(timing, reads) for reads in _READS], f"line c{colour}"))
        pays = timing.reads_to_pay
        if pays is not None and pays <= _READS[-1]:
            parts.append(dot(*place(timing, pays), f"c{colour}", _named(timing)))
    parts.append(axis_names(across, up, "reads of each capsule", "time, % of reading the passage", _TIME_HEIGHT))
    return svg(parts, _TIME_WIDTH, _TIME_HEIGHT, title)


def _named(timing: Timing) -> str:
    pays = timing.reads_to_pay
    return f"batch {timing.batch}: " + ("never pays" if pays is None else f"{pays} read{'s' * (pays > 1)}")


def _bar(value: Interval, name: str, colour: int, y: float) -> str:
    middle, width = y + (_BAR - 3) / 2, _ACROSS(value.estimate) - _LEFT
    box = f'x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 3}"'
    title = f"<title>{escape(f'{name}: {percent(value)}')}</title>"
    bar = f'<rect class="c{colour}" {box} style="fill: var(--c)" fill-opacity="0.6">{title}</rect>'
    low, high = value.drawn
    ends = f'<path class="trivial" style="stroke-width: 1.4" d="M{_ACROSS(low)} {middle}H{_ACROSS(high)}"/>'
    number = text(_ACROSS(high) + 5, middle + 4, f"{100 * value.estimate:.0f}", "start", "tick")
    return f"{bar}{ends}{number}"
