"""The schemas offer exactly the options of the code they stand for, with the same defaults."""

from __future__ import annotations

import dataclasses
import inspect
from importlib import import_module
from typing import get_args

import pytest
from quince.data.sources import DEMONSTRATIONS, SOURCES
from quince.recipes.config.data import DataSource, Demonstrations
from quince.recipes.config.engine import TransformersEngine, VllmEngine
from quince.recipes.config.evaluation import Sampling
from quince.recipes.config.rewards import Reward
from quince.recipes.config.sft_data import SftSource
from quince.rewards.registry import REWARDS, reward_class


def kinds(union):
    """Kind to schema for a discriminated union."""
    schemas = get_args(get_args(union)[0])
    return {kind: schema for schema in schemas for kind in get_args(schema.model_fields["kind"].annotation)}


SOURCE_KINDS, REWARD_KINDS = kinds(DataSource), kinds(Reward)


def source_function(kind):
    module, name = SOURCES[kind].split(":")
    return getattr(import_module(module), name)


def test_there_is_a_schema_for_every_kind():
    assert set(SOURCE_KINDS) == {*SOURCES, "custom"}
    assert set(REWARD_KINDS) == {*REWARDS, "custom"}
    assert set(get_args(Demonstrations.model_fields["kind"].annotation)) <= set(DEMONSTRATIONS)
    assert set(kinds(SftSource)) == {*DEMONSTRATIONS, "jsonl", "custom"}


@pytest.mark.parametrize("kind", SOURCES)
def test_a_source_schema_has_the_options_of_its_function(kind):
    parameters = inspect.signature(source_function(kind)).parameters
    fields = set(SOURCE_KINDS[kind].model_fields) - {"kind", "share"}
    assert fields == set(parameters)
    for name in fields - {"split", "size", "seed"}:
        default, offered = SOURCE_KINDS[kind].model_fields[name].default, parameters[name].default
        if default is not None and not SOURCE_KINDS[kind].model_fields[name].is_required():
            assert default == (list(offered) if isinstance(offered, tuple) else offered)


@pytest.mark.parametrize("kind", ["sql_idioms", "strategies", "countdown"])
def test_a_source_has_the_columns_its_schema_promises(kind):
    row = source_function(kind)(SOURCE_KINDS[kind].model_fields["split"].default, 1)[0]
    assert set(SOURCE_KINDS[kind].columns) <= set(row)


@pytest.mark.parametrize("kind", REWARDS)
def test_a_reward_schema_has_the_options_of_its_class(kind):
    reward, schema = reward_class(kind), REWARD_KINDS[kind]
    options = {field.name: field for field in dataclasses.fields(reward)}
    assert set(schema.model_fields) - {"kind", "weight"} == set(options)
    assert schema.columns == reward.columns
    for name, field in options.items():
        if field.default is not dataclasses.MISSING:
            assert schema.model_fields[name].default == field.default


def test_sampling_has_the_fields_of_the_engines_sampling():
    from quince.eval.engines.base import Sampling as EngineSampling

    assert set(Sampling.model_fields) == {field.name for field in dataclasses.fields(EngineSampling)} - {
        "stop_token_ids"
    }


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        (TransformersEngine, "quince.eval.engines.transformers:TransformersEngine"),
        (VllmEngine, "quince.eval.engines.vllm:VllmEngine"),
    ],
)
def test_an_engine_schema_has_options_of_its_engine(schema, path):
    module, name = path.split(":")
    parameters = inspect.signature(getattr(import_module(module), name).load).parameters
    for option in set(schema.model_fields) - {"kind"}:
        assert parameters[option].default == schema.model_fields[option].default
