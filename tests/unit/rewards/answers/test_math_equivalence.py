"""Every mechanical rewriting of a public gold answer is accepted and every near miss refused.

A dozen golds of each form are judged always; with QUINCE_DATA those of GSM8K, MATH and the sets of the usual math
evaluation suite, of which `QUINCE_GOLDS` is the share drawn for near misses (default 0.01; 1 takes hours).
"""

from __future__ import annotations

import json
import os
import random
import re
from functools import cache
from pathlib import Path

import pytest
from quince.data.sources import load_rows
from quince.rewards.answers.math import MathAnswer

from .near_misses import NEAR_MISSES, derivation
from .rewritings import REWRITINGS

REWARD = MathAnswer(timeout_s=20.0)
SOURCES = {
    "gsm8k": "test train", "math": "test train", "math500": "test", "aime24": "test", "amc23": "test",
    "olympiadbench": "test", "minerva_math": "test", "college_math": "test", "svamp": "test",
}  # fmt: skip
MADE = r"""
42 | -7 | 0.375 | .5 | -12.50 | 1234567 | 2868.41 | 3e8 | 5.89e-7
\frac{34}{9} | -\frac{5}{2} | \dfrac{3}{4} | \tfrac{1}{3} | \sqrt{2} | 2\sqrt{3} | 3\pi
\frac{\sqrt{5}}{2} | \frac{2\pi}{3}
x^2+2x+1 | 2 n | 4 x^{3}-9 x^{2}+x+7 | \frac{x-3}{(x+3)(x+1)} | e^{2x} | \ln 2 + 1 | y=2x+3 | x=5 | 6-5 i | n!
(1,2) | \left( 3, \frac{\pi}{2} \right) | (2,-1,5) | [0,1) | (-\infty, 2] | (-\infty,-4)\cup(6,\infty)
x \le 3 | -2<x<2
\{1,2,3\} | \left\{\frac{1}{2}, 4\right\} | 1, -3 | 2\pm\sqrt{3}
\begin{pmatrix} -7 \\ 16 \\ 5 \end{pmatrix} | \begin{pmatrix} 3 & 2 \\ 0 & -7 \end{pmatrix}
90^\circ | 44^{\circ} | 10\% | 17.5\% | \$18.90 | 12\text{ cm} | 25 \mathrm{~ft} | 8\text{ hours}
1011_2 | 2215_{6} | 152A_{11} | \text{(C)} | \text{east} | (B) | \text{Friday}
"""
needs_data = pytest.mark.skipif(not os.environ.get("QUINCE_DATA"), reason="QUINCE_DATA is unset")


def made() -> list[str]:
    return [gold.strip() for line in MADE.strip().splitlines() for gold in line.split(" | ")]


@cache
def public() -> tuple[str, ...]:
    """The distinct gold answers of the sets that have sources, and of three that have none."""
    sets = [(kind, split) for kind, splits in SOURCES.items() for split in splits.split()]
    golds = {row["answer"] for kind, split in sets for row in load_rows(kind, split=split)}
    for name, column in (("gaokao2023en", "answer"), ("mawps", "target"), ("asdiv", "answer")):
        path = Path(os.environ["QUINCE_DATA"]) / "math_eval" / f"{name}.jsonl"
        for line in path.read_text(encoding="utf-8").splitlines():
            gold = re.sub(r" \(.*\)$|(?<!\\)\$", "", str(json.loads(line)[column])).strip()
            golds.add(gold.removesuffix(".0"))
    return tuple(sorted(golds - {""}))


def refused(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pairs of gold and answer that are not judged correct."""
    verdicts = REWARD.judge_batch([f"So it is $\\boxed{{{a}}}$." for _, a in pairs], [{"answer": g} for g, _ in pairs])
    return [pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict.value != 1.0]


def accepted(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Pairs that are judged correct, or not judged."""
    verdicts = REWARD.judge_batch([f"So it is $\\boxed{{{a}}}$." for _, a in pairs], [{"answer": g} for g, _ in pairs])
    return [pair for pair, verdict in zip(pairs, verdicts, strict=True) if verdict.value != 0.0]


def rewritten(name: str, golds: list[str] | tuple[str, ...]) -> list[tuple[str, str]]:
    return [(gold, answer) for gold in golds if (answer := REWRITINGS[name](gold)) is not None]


def missed(name: str, golds: list[str]) -> list[tuple[str, str]]:
    return [(gold, answer) for gold in golds if not derivation(gold) for answer in list(NEAR_MISSES[name](gold))[:8]]


@pytest.mark.parametrize("name", REWRITINGS)
def test_a_rewriting_is_accepted(name):
    assert refused(rewritten(name, made())) == []


@pytest.mark.parametrize("name", NEAR_MISSES)
def test_a_near_miss_is_refused(name):
    pairs = missed(name, made())
    assert pairs and accepted(pairs) == []


def test_the_near_misses_that_the_reward_names_are_wrong():
    for gold in made():
        row = {"answer": gold}
        assert REWARD.judge(REWARD.gold_completion(row), row).value == 1.0
        assert [m for m in REWARD.near_misses(row) if REWARD.judge(m, row).value != 0.0] == []


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("name", REWRITINGS)
def test_rewritings_of_public_golds_are_accepted(name):
    pairs = rewritten(name, public())
    bad = refused(pairs)
    assert len(bad) <= 0.001 * len(pairs), bad[:20]


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize("name", NEAR_MISSES)
def test_near_misses_of_public_golds_are_refused(name):
    golds = public()
    share = float(os.environ.get("QUINCE_GOLDS", "0.01"))
    assert accepted(missed(name, random.Random(name).sample(golds, round(share * len(golds))))) == []
