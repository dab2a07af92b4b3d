"""What verl imports (`VERL_USE_EXTERNAL_MODULES`): registration of our loss, advantages, stored completions and order.

Written for verl 0.8 and above with `trainer.use_v1`, on the hooks that verl offers: `register_policy_loss`,
`register_adv_est`, an agent loop, a data set class. The mathematics is in `rlvr.objective`; `step` gives it
the tensors of verl.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from verl.experimental.agent_loop.agent_loop import AgentLoopBase, AgentLoopOutput
from verl.trainer.ppo.core_algos import register_adv_est, register_policy_loss
from verl.utils.dataset.rl_dataset import RLHFDataset

from .parquet_rows import STORED_AGENT
from .settings import MixedOrder, batches, exported_folder, recipe_of, step_of
from .step import STORED_SCORE

NAME = "quince"


@register_adv_est(NAME)
def advantages(token_level_rewards: Tensor, response_mask: Tensor, index: Any, **_: Any) -> tuple[Tensor, Tensor]:
    """The recipe's advantages; for stored completions the weight of their divergence."""
    found = step_of(exported_folder()).advantages(token_level_rewards, response_mask, list(index))
    return found, found


@register_policy_loss(NAME)
def policy_loss(
    old_log_prob: Tensor,
    log_prob: Tensor,
    advantages: Tensor,
    response_mask: Tensor,
    loss_agg_mode: str = "token-mean",
    config: Any = None,
    rollout_is_weights: Tensor | None = None,
) -> tuple[Tensor, dict[str, float]]:
    """The policy term on rollouts and the divergence on stored completions."""
    step = step_of(exported_folder())
    return step.loss(old_log_prob, log_prob, advantages, response_mask, config.global_batch_info)


class StoredAnswer(AgentLoopBase):
    """Gives back the completion that a row stores; nothing is generated."""

    async def run(self, sampling_params: dict[str, Any], **row: Any) -> AgentLoopOutput:
        """The stored tokens, their initial log-probabilities negated as the mark of a stored completion."""
        answer = [int(token) for token in row["stored_ids"]]
        return AgentLoopOutput(
            prompt_ids=[int(token) for token in row["stored_prompt_ids"]],
            response_ids=answer,
            response_mask=[1] * len(answer),
            response_logprobs=[-float(value) for value in row["stored_log_probs"]],
            reward_score=STORED_SCORE,
            num_turns=2,
            metrics={},
            extra_fields={"turn_scores": [], "tool_rewards": []},
        )


class MixedDataset(RLHFDataset):
    """Rows in the order of the whole run: so many prompts and so many stored completions in every step.

    Files without stored completions, as for validation, stay as they are.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        stored = sum(name == STORED_AGENT for name in self.dataframe["agent_name"])
        recipe = recipe_of(exported_folder())
        sizes, prompts = batches(recipe), len(self.dataframe) - stored
        order = MixedOrder(prompts, stored, sizes.prompts, sizes.stored, sizes.steps, recipe.rehearsal.seed)
        self.order = order if stored else range(prompts)

    def __len__(self) -> int:
        return len(self.order)

    def __getitem__(self, place: int) -> dict[str, Any]:
        return super().__getitem__(self.order[place])
