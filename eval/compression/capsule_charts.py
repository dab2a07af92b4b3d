"""Two charts as SVG text: accuracy by source and reader, and time against the number of reads."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log2, log10

from ..measure.statistics import Interval
from ..show.figures import svg
from . import measures
from .latency import Timing
from .results import LABELS, Results

_WIDTH, _LEFT, _RIGHT, _TOP, _BAR = 620, 132, 52, 30, 15
_TIME_WIDTH, _TIME_HEIGHT, _TIME_LEFT, _TIME_BOTTOM = 620, 320, 56, 46
_READS = tuple(2**power for power in range(11))
_SHARES = tuple(digit * 10.0**power for power in range(-3, 4) for digit in (1, 2, 5))


def accuracy_chart(results: Results, title: str) -> str:
    """Draw what readers answer right from each source: a bar a reader, with its 95 % interval."""
    row = 10 + _BAR * len(results.readers)
    bottom = _TOP + row * len(results.sources)
    parts = [_legend(results.readers, _LEFT), *(_share_line(tick, bottom) for tick in range(0, 101, 20))]
    for index, source in enumerate(results.sources):
        top = _TOP + row * index + 5
        middle = top + _BAR * len(results.readers) / 2 + 4
        parts.append(f'<text x="{_LEFT - 10}" y="{middle}" text-anchor="end">{escape(LABELS[source])}</text>')
        for place, reader in enumerate(results.readers):
            value = measures.accuracy(results, source, reader)
            parts.append(_bar(value, f"{reader}, {LABELS[source]}", place, top + _BAR * place))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text class="axis" x="{middle}" y="{bottom + 34}" text-anchor="middle">right answers, %</text>')
    return svg(parts, _WIDTH, bottom + 40, title)


def break_even_chart(timings: Sequence[Timing], title: str) -> str:
    """Draw time with capsules, compressing included, by time without, over reads of each capsule.

    Both axes are logarithmic. A line a batch size, with a dot at the read that has paid for compressing.
    """
    shares = [timing.share_after(reads) for timing in timings for reads in _READS]
    low = max((s for s in _SHARES if s <= min(0.5, *shares)), default=_SHARES[0])
    high = min((s for s in _SHARES if s >= max(1.0, *shares)), default=_SHARES[-1])
    bottom = _TIME_HEIGHT - _TIME_BOTTOM

    def x(reads: float) -> float:
        return round(_TIME_LEFT + log2(reads) / log2(_READS[-1]) * (_TIME_WIDTH - 14 - _TIME_LEFT), 1)

    def y(share: float) -> float:
        return round(bottom - log10(share / low) / log10(high / low) * (bottom - _TOP), 1)

    parts = [_legend([_named(timing) for timing in timings], _TIME_LEFT)]
    parts += [_across(y(share), share) for share in _SHARES if low <= share <= high]
    for reads in _READS:
        place = f'x="{x(reads)}" y="{bottom + 17}"'
        parts.append(f'<text class="tick" {place} text-anchor="middle">{reads}</text>')
    for colour, timing in enumerate(timings):
        parts.append(_path([(x(reads), y(timing.share_after(reads))) for reads in _READS], colour))
        pays = timing.reads_to_pay
        if pays is not None and pays <= _READS[-1]:
            at = f'cx="{x(pays)}" cy="{y(timing.share_after(pays))}"'
            parts.append(f'<circle class="dot c{colour}" {at} r="4.5"><title>{escape(_named(timing))}</title></circle>')
    middle = (_TIME_LEFT + _TIME_WIDTH - 14) / 2
    label = "reads of each capsule"
    parts.append(f'<text class="axis" x="{middle}" y="{_TIME_HEIGHT - 8}" text-anchor="middle">{label}</text>')
    turned = f'transform="translate(13 {(_TOP + bottom) / 2}) rotate(-90)"'
    parts.append(f'<text class="axis" {turned} text-anchor="middle">time, % of reading the passage</text>')
    return svg(parts, _TIME_WIDTH, _TIME_HEIGHT, title)


def _named(timing: Timing) -> str:
    pays = timing.reads_to_pay
    return f"batch {timing.batch}: " + ("never pays" if pays is None else f"{pays} read{'s' * (pays > 1)}")


def _x(share: float) -> float:
    return round(_LEFT + share * (_WIDTH - _RIGHT - _LEFT), 1)


def _legend(names: Sequence[str], start: float) -> str:
    x, parts = start, []
    for colour, name in enumerate(names):
        parts.append(f'<circle class="dot c{colour}" cx="{x + 5}" cy="12" r="4.5"/>')
        parts.append(f'<text x="{x + 14}" y="16">{escape(name)}</text>')
        x += 34 + round(6.6 * len(name))
    return "".join(parts)


def _share_line(tick: int, bottom: float) -> str:
    x = _x(tick / 100)
    line = f'<path class="grid" d="M{x} {_TOP}V{bottom}"/>'
    return f'{line}<text class="tick" x="{x}" y="{bottom + 16}" text-anchor="middle">{tick}</text>'


def _bar(value: Interval, name: str, colour: int, y: float) -> str:
    text = f"{name}: {100 * value.estimate:.1f} % [{100 * value.low:.1f}, {100 * value.high:.1f}]"
    middle, width = y + (_BAR - 3) / 2, _x(value.estimate) - _LEFT
    box = f'x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 3}"'
    bar = (
        f'<rect class="c{colour}" {box} style="fill: var(--c)" fill-opacity="0.6"><title>{escape(text)}</title></rect>'
    )
    ends = f'<path class="trivial" style="stroke-width: 1.4" d="M{_x(value.low)} {middle}H{_x(value.high)}"/>'
    number = f'<text class="tick" x="{_x(max(value.high, value.estimate)) + 5}" y="{middle + 4}">'
    return f"{bar}{ends}{number}{100 * value.estimate:.0f}</text>"


def _across(y: float, share: float) -> str:
    name = "guide" if share == 1 else "grid"
    line = f'<path class="{name}" d="M{_TIME_LEFT} {y}H{_TIME_WIDTH - 14}"/>'
    return f'{line}<text class="tick" x="{_TIME_LEFT - 7}" y="{y + 4}" text-anchor="end">{100 * share:g}</text>'


def _path(points: Sequence[tuple[float, float]], colour: int) -> str:
    return f'<path class="line c{colour}" d="M{" L".join(f"{x},{y}" for x, y in points)}"/>'
