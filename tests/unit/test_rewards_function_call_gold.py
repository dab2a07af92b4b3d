"""Generated rows against the scorer: every gold reply is exact, and a mute model earns nothing."""

from __future__ import annotations

import pytest
from quince.data.function_calling import generate
from quince.data.function_calling.calls import of_message
from quince.data.function_calling.wire import FORMATS, render_calls
from quince.rewards.tool_grading import graded
from quince.rewards.tool_scoring import score


def reply(sample, format="hermes"):
    """The gold turn as text."""
    turn = sample["messages"][-1]
    calls = of_message(turn)
    return render_calls(calls, format) if calls else turn["content"]


@pytest.mark.parametrize("split", generate.SPLITS)
def test_every_gold_reply_is_exact_and_a_mute_one_never(split):
    for sample in generate.demonstrations(split, 150):
        for format in FORMATS:
            text = reply(sample, format)
            found = score(text, sample, format)
            assert found.exact, (text, found)
            assert (found.error, found.decision, found.tolerant_exact) == ("", found.gold_decision, True)
            assert graded(found) == 1.0
        assert not score("", sample).exact
        assert graded(score("", sample)) == -1.0
