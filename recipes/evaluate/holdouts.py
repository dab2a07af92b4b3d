"""The holdout of a suite: sampled and judged without a record; reports only what Thresholdout allows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...data.cache import one_writer
from ...eval.measure.evaluate import evaluate
from ...eval.measure.holdout import Look, Thresholdout
from ...eval.measure.metrics import per_problem
from ...eval.measure.problems import SampleLog
from ...eval.measure.settings import rows_sha256

if TYPE_CHECKING:
    from ...data.rows import Row
    from ...eval.engines.base import Engine
    from ...eval.measure.settings import Settings
    from ...rewards.base import Reward
    from ..config.evaluation import Holdout, Suite
    from ..parts.loading import Engines


def look(
    suite: Suite, settings: Settings, rows: list[Row], reward: Reward, development: float, engines: Engines
) -> str:
    """Return a sentence with Thresholdout's answer about Pass@k, for the first k.

    Args:
        suite: With its holdout.
        settings: Of the suite's own problems.
        rows: Of the holdout.
        reward: Of the suite.
        development: Pass@k on the suite's own problems.
        engines: The model, loaded if the query is new.
    """
    holdout, k = suite.holdout, min(suite.ks)
    assert holdout is not None
    data = [source.model_dump(mode="json") for source in holdout.data]
    settings = replace(settings, suite=f"{suite.name}.holdout", data=data, rows_sha256=rows_sha256(rows))
    question = f"{settings.hash} pass@{k}"
    state = Path(holdout.state)
    with one_writer(state.parent, state.name):
        guard = Thresholdout.read(state, holdout.threshold, holdout.noise, holdout.budget, holdout.seed)
        # A spent budget is an error before anything is generated.
        known = question in guard.answers or guard.spent >= guard.budget
        value = development if known else _mean(rows, reward, engines.model, settings, k, state.parent)
        answer = guard.ask(question, development, value)
        guard.write(state)
    return _sentence(suite.name, k, answer, holdout)


def _mean(rows: list[Row], reward: Reward, engine: Engine, settings: Settings, k: int, folder: Path) -> float:
    """Pass@k on the holdout; samples are on disk only while it runs, so that it can be interrupted."""
    log = SampleLog(folder, settings.hash)
    problems = evaluate(rows, reward, engine, settings.sampling, (k,), greedy=False, log=log).problems
    log.drop()
    return float(np.nanmean(per_problem(problems, (k,))[f"pass@{k}"]))


def _sentence(name: str, k: int, answer: Look, holdout: Holdout) -> str:
    found = f"{name} · holdout · Pass@{k} {100 * answer.value:.1f}"
    how = "with noise: it differs from the suite's" if answer.overfit else "the suite's own: both agree"
    return f"{found} ({how}); {answer.budget} of {holdout.budget} disagreements left"
