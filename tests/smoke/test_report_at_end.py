"""Training leaves a report in its run folder."""

from __future__ import annotations

import re

import pytest
from quince.recipes.rlvr.train import run

pytestmark = pytest.mark.slow


def test_a_run_ends_with_its_report(toy):
    folder = run(toy("trainer.max_steps=2"))
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "<b>2</b><span>steps</span>" in page
    assert {"Loss", "Reward", "Outcomes"} <= set(re.findall(r"<figcaption>([^<]+)", page))
    shares = [float(share) for share in re.findall(r" s, ([\d.]+) %</span>", page)]
    assert sum(shares) == pytest.approx(100, abs=0.5)
    assert 'class="sample"' in page
