"""The plug-in of the export inside verl itself, on a CPU: its settings, and each hook on verl's own objects."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
import torch
from quince.recipes.export.verl.export import export_verl
from quince.recipes.export.verl.parquet_rows import STORED_AGENT
from quince.recipes.export.verl.settings import FOLDER_VARIABLE, batches, exported_folder, step_of
from quince.recipes.export.verl.step import STORED_SCORE
from quince.recipes.parts.models import load_tokenizer

pytest.importorskip("verl", reason="verl has an environment of its own")
pytestmark = pytest.mark.slow
DPH = ["divergence={kind: jensen_shannon, weight: 0.5}", "trainer.max_steps=6", "trainer.delta=3.0"]


@pytest.fixture
def exported(toy, tmp_path, monkeypatch):
    """The recipe, and verl's whole configuration of its export."""
    from hydra import compose, initialize_config_dir
    from quince.recipes.export.verl import plugin  # noqa: F401 - registers estimator and loss

    loaded = toy(*DPH)
    folder = export_verl(loaded, tmp_path / "out")
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    with initialize_config_dir(str(folder), version_base=None):
        config = compose("quince")
    return loaded.recipe, config


def step(recipe) -> dict[str, torch.Tensor]:
    """Two groups of 8 rollouts and 8 stored answers, of 1 to 5 tokens, with moved probabilities."""
    generator = torch.Generator().manual_seed(0)
    lengths = torch.randint(1, 6, (24,), generator=generator)
    mask = (torch.arange(5) < lengths[:, None]).float()
    old, new = (-torch.rand(24, 5, generator=generator) * mask for _ in range(2))
    old[16:] *= -1
    scores = torch.randint(0, 2, (24,), generator=generator).float()
    scores[16:] = STORED_SCORE
    on_tokens = torch.zeros(24, 5).scatter(1, lengths[:, None] - 1, scores[:, None])
    return {"old": old, "new": new, "mask": mask, "scores": on_tokens, "lengths": lengths}


def test_verl_reads_the_settings_and_finds_the_hooks(exported):
    from quince.recipes.export.verl import plugin
    from verl.trainer.ppo.core_algos import get_adv_estimator_fn, get_policy_loss_fn
    from verl.trainer.ppo.reward import get_custom_reward_fn
    from verl.utils.config import omega_conf_to_dataclass
    from verl.utils.dataset.rl_dataset import get_dataset_class

    recipe, config = exported

    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    rollout = omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
    assert actor.policy_loss.loss_mode == config.algorithm.adv_estimator == "quince"
    assert actor.ppo_mini_batch_size == batches(recipe).mini and rollout.n == 8 and rollout.calculate_log_probs
    assert config.algorithm.rollout_correction.bypass_mode and config.trainer.use_v1
    assert get_policy_loss_fn("quince") is plugin.policy_loss and get_adv_estimator_fn("quince") is plugin.advantages
    assert get_dataset_class(config.data) is plugin.MixedDataset
    assert get_custom_reward_fn(config)("strategies", "xyz", "", extra_info={"row": "{}"})["score"] == 1.0


def test_verl_weighs_answers_as_the_recipe_says(exported):
    from verl import DataProto
    from verl.trainer.ppo.ray_trainer import compute_advantage

    recipe, config = exported

    rows, names = step(recipe), [f"p{row // 8}" for row in range(16)] + [f"s{row}" for row in range(8)]
    tensors = {"token_level_rewards": rows["scores"], "response_mask": rows["mask"]}
    data = DataProto.from_dict(tensors=tensors, non_tensors={"uid": np.array(names, dtype=object)})
    found = compute_advantage(data, adv_estimator="quince", config=config.algorithm).batch["advantages"]
    ours = step_of(exported_folder()).advantages(rows["scores"], rows["mask"], names)
    torch.testing.assert_close(found, ours)
    assert (found[16:].sum(1) > 0).all() and found[:16].abs().sum() > 0


@pytest.mark.parametrize("processes", [1, 2])
def test_the_loss_in_verl_is_that_of_the_recipe(exported, processes):
    from tensordict import TensorDict
    from verl.utils import tensordict_utils
    from verl.utils.config import omega_conf_to_dataclass
    from verl.workers.utils.losses import ppo_loss

    recipe, config = exported

    rows, info = step(recipe), {"dp_size": processes, "batch_num_tokens": 72, "global_batch_size": 24}
    weights = torch.randn(24, 5, generator=torch.Generator().manual_seed(1)) * rows["mask"]
    lengths = rows["lengths"].tolist()

    def nested(values: torch.Tensor) -> torch.Tensor:
        parts = [row[:length] for row, length in zip(values, lengths, strict=True)]
        return torch.nested.as_nested_tensor(parts, layout=torch.jagged)

    # verl's model gives a row for every token of prompt and answer, each with what the token before it says.
    whole = [torch.cat([torch.zeros(2), row[:n], torch.zeros(1)]) for row, n in zip(rows["new"], lengths, strict=True)]
    new = torch.nested.as_nested_tensor(whole, layout=torch.jagged).requires_grad_()
    prompts = torch.nested.as_nested_tensor([torch.zeros(3) for _ in lengths], layout=torch.jagged)
    fields = {"prompts": prompts, "responses": nested(rows["mask"])}
    fields |= {
        "response_mask": nested(rows["mask"]),
        "old_log_probs": nested(rows["old"]),
        "advantages": nested(weights),
    }
    data = TensorDict(fields, batch_size=[24])
    tensordict_utils.assign_non_tensor(data, **info)
    actor = omega_conf_to_dataclass(config.actor_rollout_ref.actor)
    loss, metrics = ppo_loss(actor, {"log_probs": new}, data)
    ours, logged = step_of(exported_folder()).loss(rows["old"], rows["new"], weights, rows["mask"], info)
    torch.testing.assert_close(loss, ours)
    assert logged.keys() <= metrics.keys()


def test_verl_reads_rows_in_the_order_of_the_run(exported):
    from verl.utils.dataset.rl_dataset import get_dataset_class

    recipe, config = exported
    tokenizer = load_tokenizer(recipe.model)
    data = get_dataset_class(config.data)(list(config.data.train_files), tokenizer, config.data)
    sizes = batches(recipe)
    assert len(data) == (sizes.prompts + sizes.stored) * sizes.steps
    kinds = [data[place]["agent_name"] for place in range(sizes.prompts + sizes.stored)]
    assert kinds[: sizes.prompts] == ["single_turn_agent"] * sizes.prompts
    assert set(kinds[sizes.prompts :]) == {STORED_AGENT}


def test_verl_takes_a_stored_answer_from_the_agent(exported):
    import hydra
    from omegaconf import OmegaConf
    from verl.experimental.agent_loop.agent_loop import DictConfigWrap
    from verl.utils.dataset.rl_dataset import RLHFDataset

    recipe, config = exported
    (agent,) = OmegaConf.load(config.actor_rollout_ref.rollout.agent.agent_loop_config_path)
    tokenizer = load_tokenizer(recipe.model)
    given = {"trainer_config": DictConfigWrap(config), "data_config": DictConfigWrap(config.data)}
    given |= {"server_manager": None, "tokenizer": tokenizer, "processor": None, "dataset_cls": RLHFDataset}
    loop = hydra.utils.instantiate(config={"_target_": agent["_target_"]}, **given)
    row = {"stored_ids": [5, 6], "stored_prompt_ids": [1, 2, 3], "stored_log_probs": [-0.5, -0.25]}
    found = asyncio.run(loop.run({}, **row)).as_dict()
    assert found["responses"].tolist() == [5, 6] and found["rollout_log_probs"].tolist() == [0.5, 0.25]
