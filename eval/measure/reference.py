"""How far a model has moved from a reference: the divergence in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...data.chat.renderer import render_prompts
from ...data.rows import Row
from ..engines.base import Sampling
from .diversity import sampled_kl
from .metrics import Metric
from .statistics import Interval

if TYPE_CHECKING:
    from ..engines.base import Engine

MODEL_REFERENCE = "kl/model_reference"
REFERENCE_MODEL = "kl/reference_model"
KL_METRICS = (MODEL_REFERENCE, REFERENCE_MODEL)


def reference_kl(
    rows: Sequence[Row],
    model: Engine,
    reference: Engine,
    samples: int,
    max_tokens: int,
    seed: int,
    longest: int | None = None,
) -> dict[str, Metric]:
    """Estimate KL(model || reference) and KL(reference || model) in nats per completion, at temperature 1.

    The first is large where the model writes what the reference would not, the second where the model no
    longer writes what the reference does: what is lost shows in the second one.

    Args:
        rows: Questions, as the model's chat template puts them.
        model: The model that is evaluated.
        reference: Another one with the same vocabulary. The same engine gives exactly 0, without any work.
        samples: Completions per question and direction, drawn for this purpose.
        max_tokens: Longest completion; the divergence is that of what is written up to there.
        seed: Of the samples.
        longest: Tokens that prompts are cut to on their left, or None.
    """
    if model is reference:
        return {name: Metric(name, "nats", Interval(0.0, 0.0, 0.0, 0.95), len(rows)) for name in KL_METRICS}
    prompts = render_prompts(rows, model.tokenizer, longest=longest)
    sampling = Sampling(samples, max_tokens=max_tokens, seed=seed)
    metrics = {}
    for name, sampler, other in ((MODEL_REFERENCE, model, reference), (REFERENCE_MODEL, reference, model)):
        interval = sampled_kl(prompts, sampler.generate(prompts, sampling), sampler, other)
        metrics[name] = Metric(name, "nats", interval, len(prompts))
    return metrics


def spread_rows(rows: Sequence[Row], count: int) -> list[Row]:
    """Return at most so many rows, evenly spread: neighbours often share a database or a template."""
    count = min(count, len(rows))
    return [rows[i * len(rows) // count] for i in range(count)]
