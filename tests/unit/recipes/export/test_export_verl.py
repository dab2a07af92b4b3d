"""The export to verl: the loss that its hooks compute is the loss of our trainer, and the tables hold the store."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import yaml
from quince.recipes.config import load_recipe
from quince.recipes.config.language.errors import RecipeError
from quince.recipes.export.verl import scores
from quince.recipes.export.verl.export import export_verl
from quince.recipes.export.verl.settings import FOLDER_VARIABLE, RECIPE, MixedOrder, batches, recipe_of, step_of
from quince.recipes.export.verl.step import STORED_SCORE, Step
from quince.recipes.methods.advantages import Group
from quince.recipes.parts.loading import load_sources
from quince.recipes.rlvr import rollouts
from quince.recipes.rlvr.split import ensure_split
from quince.recipes.rlvr.store import MicroBatch, RehearsalStore
from quince.recipes.rlvr.train import build_trainer
from torch.nn.utils.rnn import pad_sequence

MORE = ["trainer.delta=3.0", "trainer.epsilon_high=0.28"]
CASES = {
    "GRPO": ["trainer.loss_type=grpo"],
    "Dr. GRPO": ["trainer.loss_type=dr_grpo", "advantage={kind: dr_grpo}"],
    "DPH-F": ["divergence={kind: forward_kl, weight: 0.5}", *MORE],
    "DPH-JS": ["divergence={kind: jensen_shannon, weight: 0.5}", *MORE],
    "lost tokens": ["divergence={kind: alpha, alpha: 0.3, weight: 0.5, tokens: lost, aggregate: sequence_mean}"],
    "replay": ["divergence={kind: nll, weight: 0.5, aggregate: sequence_sum}", "advantage={kind: leave_one_out}"],
    "CISPO": ["trainer.loss_type=cispo", "trainer.epsilon_high=1.2"],
    "SAPO": ["trainer.loss_type=sapo", "divergence={kind: forward_kl, weight: 0.5}"],
    "GSPO": ["trainer.loss_type=grpo", "trainer.importance_sampling_level=sequence", "trainer.epsilon=0.05"],
    "LUSPO": ["trainer.loss_type=luspo", "divergence={kind: jensen_shannon, weight: 0.5}"],
    "VESPO": ["trainer.loss_type=vespo"],
    "off-policy rows masked": ["trainer.off_policy_mask_threshold=0.05"],
    "Pass@k": ["advantage={kind: pass_at_k, k: 4}", "rewards.0.weight=0.3"],
    "W-REINFORCE": ["advantage={kind: w_reinforce}", "rewards.0.weight=0.3"],
    "focal": ["advantage={kind: focal}"],
}


@pytest.fixture
def quiet(monkeypatch):
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")


def move(model: torch.nn.Module) -> None:
    """Away from the policy that sampled, so that ratios are cut and stored answers have drifted."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(3 * parameter.std() * torch.randn_like(parameter))


def rollout_batch(trainer) -> dict:
    """Rollouts of one step with the log-probs of the policy that made them."""
    rows = [trainer.train_dataset[index // 8] for index in range(16)]
    trainer.model.train()
    batch = trainer.rolled_out(rows)
    batch["old_per_token_logps"] = trainer._sampled_log_probs(batch)
    batch["num_items_in_batch"] = batch["completion_mask"].sum()
    trainer.current_gradient_accumulation_steps = 1
    return batch


def as_verl(trainer, batch: dict) -> dict[str, torch.Tensor]:
    """The step as verl's loss sees it: rollouts and stored answers as rows of one padded batch."""
    log_probs = trainer._get_per_token_logps_and_entropies
    new = log_probs(trainer.model, *rollouts.whole_rows(batch), batch["completion_ids"].shape[1])[0]
    rows = [(new, batch["old_per_token_logps"], batch["completion_mask"])]
    if trainer.rehearsal is not None:
        stored = trainer.rehearsal.batch(MicroBatch(0, 0, 1, 0, 1))
        new = log_probs(trainer.model, stored.input_ids, stored.attention_mask, stored.mask.shape[1])[0]
        rows.append((new, -stored.reference, stored.mask))
    names = ("new", "old", "mask")
    padded = {
        name: pad_sequence([row for part in rows for row in part[place]], batch_first=True)
        for place, name in enumerate(names)
    }
    padded["mask"] = padded["mask"].float()
    return padded


@pytest.fixture
def exported(tmp_path):
    """`exported(loaded)`: what the hooks of verl read, from a folder that holds the recipe."""

    def step(loaded) -> Step:
        (tmp_path / RECIPE).write_text(loaded.to_yaml())
        for cached in (recipe_of, step_of):
            cached.cache_clear()
        return step_of(tmp_path)

    return step


@pytest.mark.parametrize("overrides", CASES.values(), ids=CASES)
def test_the_loss_is_that_of_the_trainer(overrides, toy, quiet, exported):
    step, trainer = exported(toy(*overrides)), build_trainer(toy(*overrides))
    batch = rollout_batch(trainer)
    trainer.micro_batches, trainer._step = [], 1  # not the first, where the policy must be the initial one
    move(trainer.model)
    ours = trainer.compute_loss(trainer.model, dict(batch))
    ours.backward()
    gradient = torch.cat([p.grad.flatten() for p in trainer.model.parameters()])
    trainer.model.zero_grad()

    verl, rewards = as_verl(trainer, batch), batch["rewards"]
    stored = len(verl["mask"]) - len(rewards)
    on_tokens = torch.zeros_like(verl["mask"])
    on_tokens[:, -1] = torch.cat([rewards, torch.full((stored,), STORED_SCORE)])
    names = [index // 8 for index in range(len(rewards))] + [f"stored {index}" for index in range(stored)]
    weights = step.advantages(on_tokens, verl["mask"], names)
    info = {"batch_num_tokens": verl["mask"].sum(), "dp_size": 1}
    loss, metrics = step.loss(verl["old"], verl["new"], weights, verl["mask"], info)
    loss.backward()
    theirs = torch.cat([p.grad.flatten() for p in trainer.model.parameters()])
    assert loss.item() == pytest.approx(ours.item(), abs=1e-6) and abs(ours.item()) > 1e-3
    assert torch.allclose(theirs, gradient, atol=1e-6) and gradient.abs().max() > 1e-4
    assert metrics["quince/clipped"] > 0.01 or step.policy.loss_type in ("cispo", "sapo", "vespo")
    assert (metrics.get("quince/rehearsal_abs_log_ratio", 1.0)) > 0.01


def test_any_cut_into_micro_batches_and_processes_sums_to_the_step(toy, exported):
    step = exported(toy(*CASES["DPH-JS"]))
    generator = torch.Generator().manual_seed(0)
    new, old = (-torch.rand(12, 5, generator=generator) for _ in range(2))
    old[8:] = -old[8:]
    mask = (torch.arange(5) < torch.randint(1, 6, (12, 1), generator=generator)).float()
    weights = torch.randn(12, 5, generator=generator)

    def part(rows: slice, processes: int) -> torch.Tensor:
        info = {"batch_num_tokens": mask.sum(), "dp_size": processes}
        return step.loss(*(value[rows] for value in (old, new, weights, mask)), info)[0]

    whole = part(slice(0, 12), 1)
    ranks = [part(slice(rank, 12, 2), 2) for rank in range(2)]  # averaged by verl
    micros = [part(slice(start, start + 3), 1) for start in range(0, 12, 3)]  # summed by verl
    torch.testing.assert_close(whole, sum(ranks) / 2)
    torch.testing.assert_close(whole, sum(micros))


def test_unjudged_completions_and_padding_take_no_part(toy, exported):
    step = exported(toy())
    scores = torch.tensor([[1.0], [0.0], [torch.nan], [1.0], [0.0]])
    mask = torch.ones_like(scores)
    found = step.advantages(scores, mask, ["a", "a", "a", "b", "b"]).squeeze(1)
    table = torch.tensor([[1.0, 0.0, torch.nan], [1.0, 0.0, torch.nan]])
    expected = Group()(table, table)
    torch.testing.assert_close(found, torch.cat([expected[0], expected[1, :2]]))
    mask = torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]])
    scores = torch.tensor([[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    weights = step.advantages(scores, mask, ["a", "a", "a"])
    torch.testing.assert_close(weights[:2], step.advantages(scores[:2], mask[:2], ["a", "a"]))
    assert (weights[2] == 0).all()


def test_every_step_has_its_share_of_stored_answers_and_can_be_read_from_anywhere():
    order = MixedOrder(prompts=7, stored=5, prompts_per_step=4, stored_per_step=2, steps=9, seed=3)
    rows = [order[place] for place in range(len(order))]
    assert len(rows) == 54
    steps = [rows[start : start + 6] for start in range(0, 54, 6)]
    assert all(max(step[:4]) < 7 <= min(step[4:]) and max(step[4:]) < 12 for step in steps)
    assert sorted(row for step in steps[:7] for row in step[:4]) == sorted([*range(7)] * 4)


def test_the_folder_holds_the_store_the_rewards_and_a_script(toy, tmp_path, monkeypatch, quiet):
    loaded = toy(*CASES["DPH-JS"], "trainer.max_steps=6")
    folder = export_verl(loaded, tmp_path / "out")
    table = pq.read_table(folder / "stored.parquet").to_pylist()
    store = RehearsalStore(ensure_split(loaded.recipe, load_sources(loaded.recipe.data)).store)
    assert len(table) == len(store) > 0
    for index, row in enumerate(table):
        assert row["stored_ids"] == store[index].completion_ids.tolist()
        assert row["stored_log_probs"] == store[index].log_probs.tolist()
        assert row["stored_prompt_ids"] == store[index].prompt_ids.tolist()
    prompts = pq.read_table(folder / "prompts.parquet")
    assert prompts.schema == pq.read_table(folder / "stored.parquet").schema
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    (first, *_) = prompts.to_pylist()
    assert {"data_source", "prompt", "ability", "reward_model", "extra_info"} <= set(first)
    judged = scores.compute_score("strategies", "xyz", "", extra_info=first["extra_info"])
    assert judged == {"score": 1.0, "unjudged": 0.0}
    settings = yaml.safe_load((folder / "quince.yaml").read_text())
    sizes = batches(loaded.recipe)
    assert settings["data"]["train_batch_size"] == sizes.prompts + sizes.stored == 2 + 8
    assert settings["actor_rollout_ref"]["actor"]["ppo_mini_batch_size"] == 3
    assert subprocess.run(["bash", "-n", folder / "run.sh"], check=False).returncode == 0


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("divergence={kind: jensen_shannon, weight: 1.0, estimator: full}", "estimator"),
        ("divergence={kind: reverse_kl, on: rollouts, weight: 1.0, estimator: k2_loss}", "use_kl_loss"),
        ("advantage={kind: unlikeliness}", "unlikeliness"),
        ("trainer.max_steps=-1", "max_steps"),
        ("trainer.loss_type=bnpo", "loss_type"),
        ("trainer.entropy_coef=0.1", "entropy_coef"),
    ],
)
def test_what_verl_cannot_do_is_refused(override, named, toy, tmp_path):
    with pytest.raises(RecipeError, match=named):
        export_verl(toy(override), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_step_of_no_whole_groups_is_refused(toy):
    with pytest.raises(RecipeError, match="a multiple of 8"):
        batches(toy("divergence={kind: forward_kl, weight: 1.0}", "rehearsal.batch_size=12").recipe)


def test_other_kinds_are_refused_and_nothing_of_verl_is_needed(tmp_path):
    with pytest.raises(RecipeError, match="rlvr"):
        export_verl(load_recipe("pretrain/tiny"), tmp_path)
    files = Path(scores.__file__).parent.glob("*.py")
    importing = {file.name for file in files if "\nfrom verl" in file.read_text()}
    assert importing == {"plugin.py"}
