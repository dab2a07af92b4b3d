"""Pipelines: stages are whole recipes, checked together, each starting from models of stages before it."""

import pytest
from quince.recipes.config import load_recipe
from quince.recipes.config.language.errors import RecipeErrors

PIPELINE = """
kind: pipeline
description: two stages
stages:
  train:
    extends: rlvr/tiny_grpo
    trainer: {learning_rate: 3e-6}
  eval:
    extends: eval/tiny
    model: {id: stage:train}
"""


@pytest.fixture
def file(tmp_path):
    def write(text):
        path = tmp_path / "two.yaml"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def problems(file, *overrides):
    with pytest.raises(RecipeErrors) as caught:
        load_recipe(file, overrides)
    return [str(problem) for problem in caught.value.problems]


def test_stages_are_recipes_with_folders_of_their_own(file):
    recipe = load_recipe(file(PIPELINE)).recipe
    assert [stage.kind for stage in recipe.stages.values()] == ["rlvr", "eval"]
    assert recipe.stages["train"].output_dir == "runs/two/train"
    assert recipe.stages["train"].trainer["learning_rate"] == 3e-6
    assert recipe.stages["eval"].model.id == "runs/two/train/model"


def test_what_it_resolves_to_is_a_recipe_and_says_where_values_are_from(file, tmp_path):
    loaded = load_recipe(file(PIPELINE))
    again = tmp_path / "again.yaml"
    again.write_text(loaded.to_yaml(), encoding="utf-8")
    assert load_recipe(str(again)).recipe.stages == loaded.recipe.stages
    assert loaded.origins["stages.train.trainer.learning_rate"].endswith("two.yaml:7")
    train, evaluation = loaded.parts()
    assert train.name == "two/train" and train.recipe.kind == "rlvr"
    assert train.origins["trainer.learning_rate"].endswith("two.yaml:7")
    assert evaluation.recipe.kind == "eval"


def test_overrides_reach_into_stages(file):
    recipe = load_recipe(file(PIPELINE), ["stages.train.seed=7", "output_dir=elsewhere"]).recipe
    assert recipe.stages["train"].seed == 7
    assert recipe.stages["eval"].model.id == "elsewhere/train/model"


def test_every_problem_of_every_stage_is_told_at_once(file):
    text = PIPELINE.replace("stage:train", "stage:later").replace("learning_rate: 3e-6", "learning_rat: 3e-6")
    first, second = problems(file(text + "surprise: 1\n"))[:2]
    found = problems(file(text + "surprise: 1\n"))
    assert len(found) == 3
    assert "two.yaml:7 · stages.train.trainer.learning_rat · " in first and "did you mean `learning_rate`" in first
    assert "two.yaml:10 · stages.eval.model.id · no earlier stage 'later' · one of train" in second
    assert "surprise · no such field" in found[2]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: pipeline\n", "stages · missing · a mapping of names to recipes"),
        ("kind: pipeline\nstages: {}\n", "stages · missing"),
        ("kind: pipeline\nstages: [1]\n", "stages · missing"),
        ("kind: pipeline\nstages: {a: 3}\n", "stages.a · not a mapping · `extends: <recipe>` and what differs"),
        ("kind: pipeline\nstages: {a: {extends: rlvr/tiny_grop}}\n", "stages.a.extends · no such file"),
        ("kind: pipeline\nstages: {a: {extends: rlvr/tiny_grpo, model: {id: 'stage:a'}}}\n", "no stage comes before"),
    ],
)
def test_a_broken_pipeline_has_a_message(file, text, message):
    assert any(message in problem for problem in problems(file(text)))


def test_a_pipeline_can_be_inherited(file, tmp_path):
    file(PIPELINE)
    child = tmp_path / "child.yaml"
    child.write_text("extends: two.yaml\nstages: {train: {seed: 5}}\n", encoding="utf-8")
    recipe = load_recipe(str(child)).recipe
    assert recipe.stages["train"].seed == 5
    assert recipe.stages["eval"].model.id == "runs/child/train/model"
