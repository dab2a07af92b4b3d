"""The annotated function or dataclass that does the work is the only place where its options are written."""

from __future__ import annotations

import dataclasses
import inspect
import json
from importlib import import_module

import pytest
from pydantic import TypeAdapter
from quince.data.compositional.families import FAMILIES
from quince.data.compositional.lookup_tables import KINDS as TABLES
from quince.data.function_calling.wire.formats import FORMATS, FormatName
from quince.data.sources import DEMONSTRATIONS, SOURCES
from quince.recipes.cli import main
from quince.recipes.command.show import json_schema
from quince.recipes.config import RecipeErrors, load_recipe
from quince.recipes.config.data import DataSource, SftSource, source_schema
from quince.recipes.config.evaluation import Sampling
from quince.recipes.config.language.kinds import literal_values
from quince.recipes.config.model import TransformersEngine, VllmEngine
from quince.recipes.config.rewards import Reward
from quince.rewards.base import REWARDS, reward_class

OWN_SOURCE = '''
from typing import Annotated, Literal

from pydantic import Field
from quince.data.options import provides


@provides("accepted")
def rows(split: Literal["train", "test"] = "train", size: int | None = None, seed: int = 0, *,
         highest: Annotated[int, Field(ge=2)] = 9):
    """Sums of two digits.

    Args:
        highest: Largest digit.
    """
    return [
        {"id": f"sum/{split}/{n}", "task": "sums", "accepted": f'["{n % highest + 1}"]',
         "prompt": [{"role": "user", "content": f"{n % highest} + 1"}]}
        for n in range(size or 8)
    ]
'''
OWN_REWARD = '''
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import Field
from quince.rewards.base import Reward, Verdict


@dataclass(frozen=True)
class Short(Reward):
    """1 for a completion of few characters.

    Attributes:
        most: Characters that are few.
    """

    most: Annotated[int, Field(ge=1)] = 40
    name: ClassVar[str] = "short"
    columns: ClassVar[tuple[str, ...]] = ("accepted",)

    def judge(self, completion, row):
        return Verdict(float(len(completion) <= self.most), "correct")
'''
RECIPE = """kind: rlvr
model: {id: tiny}
data: [{kind: sums, size: 4, highest: 5}]
rewards: [{kind: short, most: 12}]
trainer:
  max_steps: 2
  per_device_train_batch_size: 4
  num_generations: 2
  max_completion_length: 8
  save_strategy: "no"
  report_to: none
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A source and a reward in one file each, and one line in each registry."""
    (tmp_path / "own_sums.py").write_text(OWN_SOURCE, encoding="utf-8")
    (tmp_path / "own_short.py").write_text(OWN_REWARD, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(SOURCES, "sums", "own_sums:rows")
    monkeypatch.setitem(REWARDS, "short", "own_short:Short")
    recipe = tmp_path / "own.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    return recipe


def run(*words):
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return left.value.code


def test_a_source_and_a_reward_are_one_file_and_one_line_each(own, tmp_path, capsys):
    assert run("validate", own) == 0
    assert run("preview", "data", own) == 0
    assert run("preview", "rewards", own) == 0
    assert "short" in capsys.readouterr().out
    assert run("show", own) == 0
    assert "highest: 5" in capsys.readouterr().out
    assert run("train", own, f"output_dir={tmp_path}/run") == 0
    assert (tmp_path / "run" / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize(
    ("override", "field", "words"),
    [
        ("data.0.highest=1", "data.0.highest", "greater than or equal to 2"),
        ("data.0.hihgest=3", "data.0.hihgest", "did you mean `highest`?"),
        ("data.0.split=dev", "data.0.split", "one of train, test"),
        ("data.0.kind=sum", "data.0.kind", "did you mean `sums`?"),
        ("rewards.0.most=0", "rewards.0.most", "greater than or equal to 1"),
        ("rewards.0.kind=shrot", "rewards.0.kind", "did you mean `short`?"),
        ("rewards.0.kind=math", "rewards.0.kind", "sums has accepted"),
    ],
)
def test_their_options_are_checked_like_any_other(override, field, words, own):
    with pytest.raises(RecipeErrors) as caught:
        load_recipe(str(own), [override, *(["rewards.0={kind: math}"] if "math" in override else [])])
    (problem,) = caught.value.problems
    assert problem.field.startswith(field.rpartition(".")[0]) and words in str(problem)


def test_an_editor_learns_their_options_from_the_docstring(own):
    schemas = json.loads(json_schema("rlvr"))["properties"]
    (sums,) = [item for item in schemas["data"]["items"]["oneOf"] if item["properties"]["kind"]["const"] == "sums"]
    assert sums["description"] == "Sums of two digits."
    assert sums["properties"]["highest"] == {
        "default": 9,
        "description": "Largest digit.",
        "minimum": 2,
        "title": "Highest",
        "type": "integer",
    }


@pytest.mark.parametrize("registry", [SOURCES, DEMONSTRATIONS], ids=["rows", "conversations"])
def test_every_option_of_every_source_is_typed_and_explained(registry):
    for kind, path in registry.items():
        module, name = path.split(":")
        function = getattr(import_module(module), name)
        fields = source_schema(kind, function).model_fields
        assert set(fields) - {"kind", "share"} == set(inspect.signature(function).parameters), kind
        if registry is SOURCES and kind != "jsonl":
            assert function.provides, f"{kind} does not say which columns it has"
        for option in set(fields) - {"kind", "share", "split", "size", "seed"}:
            assert fields[option].description, f"{kind}.{option}"
        assert fields["split"].is_required() is False


@pytest.mark.parametrize("kind", REWARDS)
def test_a_reward_schema_is_its_dataclass(kind):
    reward = reward_class(kind)
    fields = Reward.__metadata__[0].schema(kind).model_fields
    assert set(fields) - {"kind", "weight"} == {field.name for field in dataclasses.fields(reward)}


@pytest.mark.parametrize(
    "kind", ["sql_idioms", "strategies", "countdown", "compositional", "function_calls", "passages"]
)
def test_a_generated_source_has_the_columns_it_promises(kind):
    source = TypeAdapter(DataSource).validate_python({"kind": kind, "size": 1})
    assert set(source.columns) <= set(source.load()[0])


def test_conversations_of_a_generated_task_are_those_of_its_base_model():
    source = TypeAdapter(SftSource).validate_python({"kind": "countdown", "size": 3})
    assert source.split == "pretrain" and all("messages" in row for row in source.load())


def test_names_that_are_written_apart_to_spare_an_import_are_the_same():
    from quince.data.compositional import FamilyName, TablesName

    assert set(literal_values(FamilyName)) == set(FAMILIES)
    assert set(literal_values(TablesName)) == set(TABLES)
    assert set(literal_values(FormatName)) == set(FORMATS)


def test_sampling_has_the_fields_of_the_engines_sampling():
    from quince.eval.engines.base import Sampling as EngineSampling

    names = {field.name for field in dataclasses.fields(EngineSampling)} - {"stop_token_ids"}
    assert set(Sampling.model_fields) == names


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
