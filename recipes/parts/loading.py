"""What a recipe names, loaded: rows of its sources, rewards with their readers, and engines."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ...data.rows import Row, check_rows
from ...eval.compression.reader import EngineReader, MeanEncoder
from ...eval.engines import load_engine
from ...rewards.base import Reward
from ..config.language.errors import RecipeError
from .models import best_device, check_files, load_policy, load_tokenizer, model_path, same_weights
from .rendezvous import one_machine, use_loopback_interface

if TYPE_CHECKING:
    from ...eval.engines.base import Engine
    from ..config.compression import Reader
    from ..config.data import Source
    from ..config.evaluation import EvalRecipe
    from ..config.model import Model
    from ..config.rewards import RewardSpec
    from ..config.rlvr import RlvrRecipe


def load_sources(sources: Sequence[Source]) -> list[Row]:
    """Load the recipe's `data:` sources and mix them.

    Sources of equal share are joined whole; of others, rows are dropped until the sizes are in proportion to the
    shares. Rows are never repeated.
    """
    loaded = thin_out(sources, [source.load() for source in sources])
    return check_rows([row for rows in loaded for row in rows], "data")


def load_training_and_old(recipe: RlvrRecipe) -> tuple[list[Row], list[Row]]:
    """The rows that an `rlvr` recipe trains on, and those of old skills, which are only rehearsed."""
    rows, old = load_sources(recipe.data), load_sources(recipe.rehearsal.data) if recipe.rehearsal.data else []
    check_rows([*rows, *old], "data and rehearsal.data")
    return rows, old


def thin_out(sources: Sequence[Source], loaded: list[list[Row]]) -> list[list[Row]]:
    """The rows of each source, in proportion to the sources' shares."""
    shares = [source.share for source in sources]
    if len(set(shares)) == 1:
        return loaded
    scale = min(len(rows) / share for rows, share in zip(loaded, shares, strict=True))
    return [
        random.Random(source.seed).sample(rows, min(len(rows), round(source.share * scale)))
        for rows, source in zip(loaded, sources, strict=True)
    ]


def build_rewards(sections: Sequence[RewardSpec]) -> list[Reward]:
    """The rewards of sections, in order."""
    return [section.build() for section in sections]


def columns_read(rewards: Sequence[Reward], rows: Sequence[Row]) -> set[str]:
    """The columns that rewards may read; all columns of the rows if a reward does not declare its own."""
    if any(reward.reads_all for reward in rewards):
        return {name for row in rows for name in row}
    return {name for reward in rewards for name in (*reward.columns, *reward.optional)}


def with_readers(
    rewards: Sequence[Reward], recipe: RlvrRecipe | EvalRecipe, stop_token_ids: Collection[int]
) -> list[Reward]:
    """Bind the recipe's readers and encoder to the rewards that use them; each model is loaded once.

    Args:
        rewards: From the recipe.
        recipe: Names readers and encoder.
        stop_token_ids: Ends a completion of the policy; empty if completions come as text.
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
    engine = build_engine(section.model, section.engine, load_tokenizer(section.model))
    name = section.name or section.model.id
    return EngineReader(engine, name, template=section.template, max_tokens=section.max_tokens)


def load_encoder(model: Model) -> MeanEncoder:
    """The encoder of an `encoder:` section."""
    return MeanEncoder(load_policy(model).to(best_device()).requires_grad_(False), load_tokenizer(model))


def build_engine(model: Model, engine: Any, tokenizer: Any) -> Engine:
    """The engine of a model and an `engine:` section.

    With transformers the weights are loaded exactly as in training, so that both agree to the last bit.
    """
    options = engine.model_dump(exclude={"kind"})
    if engine.kind == "transformers":
        from ...eval.engines.transformers import TransformersEngine

        return TransformersEngine(load_policy(model).to(best_device()), tokenizer, **options)
    if engine.kind == "server":
        from ...eval.engines.server import ServerEngine

        return ServerEngine(model=model_path(model.id), tokenizer=tokenizer, **options)
    check_files(model, model_path(model.id))
    if one_machine():
        use_loopback_interface()
    found = load_engine(engine.kind, model_path(model.id), revision=model.revision, dtype=model.dtype, **options)
    found.tokenizer = tokenizer
    return found


def check_reference(recipe: EvalRecipe, tokenizer: Any) -> None:
    """Check that the model and the reference of a divergence have the same vocabulary.

    Raises:
        RecipeError: They have not.
    """
    if recipe.kl is None or load_tokenizer(recipe.kl.model).get_vocab() == tokenizer.get_vocab():
        return
    raise RecipeError(
        f"kl.model · the vocabulary of {recipe.kl.model.id} is not that of {recipe.model.id} · a divergence needs the "
        "same tokens · name the model that this one was trained from, or set kl=null"
    )


class Engines:
    """The model of an evaluation and its reference, each loaded on first use."""

    def __init__(self, recipe: EvalRecipe, tokenizer: Any) -> None:
        self._recipe, self._tokenizer = recipe, tokenizer

    @cached_property
    def model(self) -> Engine:
        """The model."""
        return build_engine(self._recipe.model, self._recipe.engine, self._tokenizer)

    @cached_property
    def reference(self) -> Engine:
        """The model of `kl:`; the evaluated model itself if both have the same weights."""
        assert self._recipe.kl is not None
        model = self._recipe.kl.model
        if same_weights(model, self._recipe.model):
            return self.model
        return build_engine(model, self._recipe.engine, self._tokenizer)

    def close(self) -> None:
        """Free what was loaded."""
        for name in ("model", "reference"):
            if name in self.__dict__:
                self.__dict__[name].close()
