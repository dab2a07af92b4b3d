"""Generated rows against the scorer: every gold reply is exact, every labelled corruption is below it."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from quince.data.function_calling import generator as generate
from quince.data.function_calling.check.corruptions import LABELS, corruptions
from quince.data.function_calling.generator_settings import SPLITS
from quince.data.function_calling.wire.calls import of_message
from quince.data.function_calling.wire.formats import FORMATS, render_calls
from quince.rewards.function_calling.call_scoring import score
from quince.rewards.function_calling.function_call import graded


def reply(turn, format="hermes"):
    """An assistant turn as text."""
    calls = of_message(turn)
    return render_calls(calls, format) if calls else turn["content"]


@pytest.mark.parametrize("split", SPLITS)
def test_every_gold_reply_is_exact_and_a_mute_one_never(split):
    for sample in generate.demonstrations(split, 60):
        for format in FORMATS:
            text = reply(sample["messages"][-1], format)
            found = score(text, sample, format)
            assert found.exact, (text, found)
            assert (found.error, found.decision, found.tolerant_exact) == ("", found.gold_decision, True)
            assert graded(found) == 1.0
        assert not score("", sample).exact
        assert graded(score("", sample)) == -1.0


@pytest.mark.parametrize("split", ["train", "names", "language", "more_tools"])
def test_every_corruption_is_below_the_gold(split):
    seen = Counter()
    for sample in generate.demonstrations(split, 100, seed=1):
        for wrong in corruptions(sample, random.Random(0)):
            found = score(reply(wrong.message), sample)
            assert not found.exact, (wrong, sample["gold"])
            assert graded(found) < 1.0
            seen[wrong.label] += 1
    assert not set(seen) - set(LABELS)
    assert len(seen) > 12
