"""Out of memory, a step is done again in pieces: same gradient, whole groups, counted; what cannot fit is said."""

from __future__ import annotations

import pytest
import torch
from quince.recipes.rlvr.memory import MemoryFullError
from quince.recipes.rlvr.train import build_trainer, run
from transformers import Qwen3Model, TrainerCallback

pytestmark = pytest.mark.slow

ON_DEVICE = torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
ON_HOST = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4096 bytes")
ACCUMULATED = ["trainer.per_device_train_batch_size=8", "trainer.gradient_accumulation_steps=2"]
CASES = {
    "dapo, rehearsal, accumulation": [*ACCUMULATED, "divergence={kind: jensen_shannon, weight: 0.5}"],
    "grpo, every row trains": ["trainer.loss_type=grpo", "advantage={kind: group, skip_zero_variance: false}"],
    "grpo": ["trainer.loss_type=grpo"],
    "bnpo": ["trainer.loss_type=bnpo"],
    "divergence on rollouts": ["divergence={kind: reverse_kl, on: rollouts, weight: 0.1, estimator: k2_loss}"],
}


@pytest.fixture
def only_fit(monkeypatch):
    """`only_fit(rows)`: passes of more rows than that end in an error, forward or at the very end of backward."""
    forward = Qwen3Model.forward
    failures: list[int] = []

    def limit(rows: int, error: Exception = ON_DEVICE, backward: bool = False) -> list[int]:
        def fail(*_):
            failures.append(1)
            raise error

        def limited(self, input_ids=None, **kwargs):
            if not torch.is_grad_enabled() or len(input_ids) <= rows:
                return forward(self, input_ids=input_ids, **kwargs)
            if not backward:
                fail()
            # The gradients of all layers are there when that of the first layer's input is asked for.
            hook = self.embed_tokens.register_forward_hook(lambda _, __, out: out.register_hook(fail) and None)
            with hook:
                return forward(self, input_ids=input_ids, **kwargs)

        monkeypatch.setattr(Qwen3Model, "forward", limited)
        return failures

    return limit


class Gradients(TrainerCallback):
    """Keeps the gradient of every optimizer step."""

    def __init__(self):
        self.seen = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.seen.append(torch.cat([weight.grad.flatten() for weight in model.parameters()]))


def gradients(loaded) -> tuple[list[torch.Tensor], list[dict]]:
    trainer = build_trainer(loaded)
    kept = Gradients()
    trainer.add_callback(kept)
    trainer.train()
    return kept.seen, [line for line in trainer.state.log_history if "loss" in line]


@pytest.mark.parametrize("overrides", CASES.values(), ids=CASES)
@pytest.mark.parametrize(("error", "backward"), [(ON_DEVICE, False), (ON_HOST, True)], ids=["forward", "backward"])
def test_the_gradient_is_that_of_the_whole_batch(overrides, error, backward, toy, only_fit):
    settings = ["trainer.max_steps=2", "trainer.optim=sgd", "trainer.num_generations=4", *overrides]
    whole, lines = gradients(toy(*settings, folder="whole"))
    failures = only_fit(3, error, backward)
    cut, cut_lines = gradients(toy(*settings, folder="cut"))
    assert (cut[0] - whole[0]).norm() <= 1e-6 * whole[0].norm()
    for name in ("loss", "grad_norm", "reward", "tokens/trained", "tokens/rehearsed", "divergence/rollouts"):
        for line, other in list(zip(lines, cut_lines, strict=True))[name.startswith("tokens") :]:
            assert other.get(name, 0) == pytest.approx(line.get(name, 0), rel=1e-5, abs=1e-6), name
    assert [line["oom_splits"] for line in cut_lines] == [len(failures)] * 2, "what fits is found out once"
    assert 1 <= len(failures) <= 3


def test_one_answer_that_does_not_fit_ends_the_run(toy, only_fit):
    failures = only_fit(0)
    with pytest.raises(MemoryFullError, match=r"batch_size: 16 · not even one completion .*CUDA out of"):
        run(toy())
    assert len(failures) == 5, "16, 8, 4, 2 answers and 1"


def test_a_loss_of_the_whole_batch_is_not_cut(toy, only_fit):
    only_fit(3)
    with pytest.raises(MemoryFullError, match="does not fit into memory · lower it"):
        run(toy("trainer.entropy_coef=0.01"))


def test_other_errors_pass(toy, only_fit):
    only_fit(3, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes do not match"):
        run(toy())
