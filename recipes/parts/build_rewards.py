"""Rewards of a recipe, and the frozen readers and encoders that some of them ask."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

from ...data.rows import Row
from ...eval.compression.reader import EngineReader
from ...rewards.base import Reward
from ..config.rewards import RewardSpec
from .engines import build_engine
from .models import best_device, load_policy, load_tokenizer, model_path

if TYPE_CHECKING:
    from ...eval.engines.base import Engine
    from ..config.compression import Reader
    from ..config.evaluation import EvalRecipe
    from ..config.rlvr import RlvrRecipe


def build_rewards(sections: Sequence[RewardSpec]) -> list[Reward]:
    """One reward for each section, in order."""
    return [section.build() for section in sections]


def columns_read(rewards: Sequence[Reward], rows: Sequence[Row]) -> set[str]:
    """The columns that rewards may read; all of the rows' where one does not say which."""
    if any(reward.reads_all for reward in rewards):
        return {name for row in rows for name in row}
    return {name for reward in rewards for name in (*reward.columns, *reward.optional)}


def with_readers(
    rewards: Sequence[Reward], recipe: RlvrRecipe | EvalRecipe, stop_token_ids: Collection[int]
) -> list[Reward]:
    """The rewards, those that read with the recipe's readers and encoder; each model is loaded once.

    Args:
        rewards: From the recipe.
        recipe: Names readers and encoder.
        stop_token_ids: What ends an answer of the policy; empty where answers come as text.
    """
    if not recipe.readers or not any(hasattr(reward, "bind") for reward in rewards):
        return list(rewards)
    readers = [load_reader(section) for section in recipe.readers]
    encoder = load_encoder(recipe.encoder) if recipe.encoder else None
    return [
        reward.bind(*readers, encoder=encoder, stop_token_ids=stop_token_ids) if hasattr(reward, "bind") else reward
        for reward in rewards
    ]


def load_reader(section: Reader) -> EngineReader:
    """The reader of a section."""
    return EngineReader(
        _engine(section), section.name or section.model.id, template=section.template, max_tokens=section.max_tokens
    )


def load_encoder(model: Any) -> Any:
    """The encoder of an `encoder:` section."""
    from ...eval.compression.reader import MeanEncoder

    return MeanEncoder(load_policy(model).to(best_device()).requires_grad_(False), load_tokenizer(model))


def _engine(section: Reader) -> Engine:
    tokenizer = load_tokenizer(section.model)
    if section.engine.kind == "server":
        from ...eval.engines.server import ServerEngine

        options = section.engine.model_dump(exclude={"kind"})
        return ServerEngine(model=model_path(section.model.id), tokenizer=tokenizer, **options)
    engine = build_engine(section.model, section.engine, tokenizer)
    engine.tokenizer = tokenizer
    return engine
