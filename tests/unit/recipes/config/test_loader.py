"""Inheritance, overrides, origins, and resolved recipes that run again."""

from __future__ import annotations

import pytest
from quince.recipes.config import RecipeErrors, load_recipe
from quince.recipes.config.language.tree import Entry, entry_at, merge, origin_of, plain


def entry(value, origin="p"):
    if isinstance(value, dict):
        return Entry({key: entry(item, origin) for key, item in value.items()}, origin)
    if isinstance(value, list):
        return Entry([entry(item, origin) for item in value], origin)
    return Entry(value, origin)


def write(folder, **files):
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return str(folder / f"{next(iter(files))}.yaml")


@pytest.mark.parametrize(
    ("parent", "child", "merged"),
    [
        ({"a": 1, "b": 2}, {"b": 3}, {"a": 1, "b": 3}),
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ({"a": [1, 2]}, {"a": [3]}, {"a": [3]}),
        ({"a": {"b": 1}}, {"a": None}, {"a": None}),
        ({"a": 1}, {"a": {"b": 1}}, {"a": {"b": 1}}),
        ({"a": {"kind": "x", "b": 1}}, {"a": {"kind": "y"}}, {"a": {"kind": "y"}}),
        ({"a": {"kind": "x", "b": 1}}, {"a": {"kind": "x", "c": 2}}, {"a": {"kind": "x", "b": 1, "c": 2}}),
        ({"a": {"kind": "x", "b": 1}}, {"a": {"c": 2}}, {"a": {"kind": "x", "b": 1, "c": 2}}),
        ({"a": {"b": 1}}, {"a": {"kind": "x"}}, {"a": {"b": 1, "kind": "x"}}),
    ],
)
def test_merge(parent, child, merged):
    assert plain(merge(entry(parent), entry(child))) == merged


def test_merge_keeps_origins_apart():
    merged = merge(entry({"a": {"b": 1, "c": 2}}, "parent"), entry({"a": {"c": 3}}, "child"))
    assert entry_at(merged, ("a", "b")).origin == "parent"
    assert origin_of(merged, ("a", "c")) == "child"
    assert origin_of(merged, ("a", "missing")) == "child"


def test_a_child_wins_over_its_parent_and_the_command_line_over_both(tmp_path):
    path = write(
        tmp_path,
        child="extends: parent.yaml\nseed: 2\ntrainer: {learning_rate: 2e-4}\n",
        parent="extends: rlvr/tiny_grpo.yaml\nseed: 1\ntrainer: {max_steps: 7}\n",
    )
    loaded = load_recipe(path, ["trainer.max_steps=9", "data.0.size=5"])
    trainer = loaded.recipe.trainer
    assert (loaded.recipe.seed, trainer["learning_rate"], trainer["max_steps"]) == (2, 2e-4, 9)
    assert loaded.recipe.data[0].size == 5 and loaded.recipe.data[0].kind == "sql_idioms"
    assert loaded.origins["seed"] == f"{path}:2"
    assert loaded.origins["trainer.learning_rate"] == f"{path}:3"
    assert loaded.origins["trainer.max_steps"] == loaded.origins["data.0.size"] == "command line"
    assert loaded.origins["data.0.kind"].endswith("tiny_grpo.yaml:5")
    assert loaded.origins["advantage.kind"] == "default"


def test_overrides_do_not_depend_on_their_order(tmp_path):
    overrides = ["divergence.weight=0.5", "divergence.kind=alpha", "divergence.alpha=0.2"]
    for order in (overrides, overrides[::-1]):
        divergence = load_recipe("rlvr/tiny_dph_js", order).recipe.divergence
        assert (divergence.kind, divergence.weight, divergence.alpha) == ("alpha", 0.5, 0.2)


def test_the_resolved_recipe_runs_again_and_is_the_same(tmp_path):
    loaded = load_recipe("rlvr/llama31_8b_sql_dph_js_lora", ["trainer.learning_rate=3e-6"])
    for name, text in (("plain", loaded.to_yaml()), ("commented", loaded.to_yaml(origins=True))):
        again = load_recipe(write(tmp_path, **{name: text}))
        assert again.recipe == loaded.recipe
        assert again.to_yaml() == loaded.to_yaml()


def test_every_value_of_a_resolved_recipe_has_its_origin_beside_it():
    loaded = load_recipe("rlvr/tiny_dph_js", ["seed=3"])
    lines = loaded.to_yaml(origins=True).splitlines()
    assert [line.split("# ")[1] for line in lines if line.startswith("seed:")] == ["command line"]
    values = [line for line in lines if not line.split("#")[0].rstrip().endswith(":")]
    assert all("# " in line for line in values)


def test_names(tmp_path):
    assert load_recipe("tiny_dph_js").name == load_recipe("rlvr/tiny_dph_js.yaml").name == "rlvr/tiny_dph_js"
    assert load_recipe("rlvr/tiny_dph_js").recipe.output_dir == "runs/rlvr/tiny_dph_js"
    mine = load_recipe(write(tmp_path, mine="extends: rlvr/tiny_dph_js\n"))
    assert (mine.name, mine.recipe.output_dir) == ("mine", "runs/mine")
    assert mine.recipe.divergence.kind == "jensen_shannon"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("rlvr/tiny_gpro", ["no such recipe", "did you mean `rlvr/tiny_grpo`?"]),
        ("tiny_gpro", ["did you mean `tiny_grpo`?"]),
        ("tiny", ["more than one such recipe", "eval/tiny, pretrain/tiny"]),
        ("nothing.yaml", ["no such recipe", "quince list"]),
    ],
)
def test_a_name_that_is_not_there(name, words):
    with pytest.raises(RecipeErrors) as caught:
        load_recipe(name)
    assert all(word in str(caught.value) for word in words)


def test_a_circle_is_named(tmp_path):
    path = write(tmp_path, a="extends: b.yaml\n", b="extends: c.yaml\n", c="extends: a.yaml\n")
    with pytest.raises(RecipeErrors) as caught:
        load_recipe(path)
    text = str(caught.value)
    assert "a circle" in text and text.index("a.yaml ->") < text.index("b.yaml ->") < text.index("c.yaml ->")


def test_a_recipe_that_extends_itself_is_a_circle(tmp_path):
    with pytest.raises(RecipeErrors, match="a circle"):
        load_recipe(write(tmp_path, a="extends: a.yaml\n"))


@pytest.mark.parametrize(
    ("extends", "words"),
    [
        ("rlvr/tiny_gpro.yaml", ["a.yaml:1", "extends", "did you mean `rlvr/tiny_grpo.yaml`?"]),
        ("3", ["a.yaml:1", "extends", "no such file"]),
        ("[a, b]", ["a.yaml:1", "extends"]),
    ],
)
def test_a_missing_parent_is_named(tmp_path, extends, words):
    with pytest.raises(RecipeErrors) as caught:
        load_recipe(write(tmp_path, a=f"extends: {extends}\nkind: rlvr\n"))
    assert all(word in str(caught.value) for word in words)


def test_another_kind_of_recipe_starts_over(tmp_path):
    path = write(tmp_path, a="extends: rlvr/tiny_grpo.yaml\nkind: pretrain\nmixture: [{kind: countdown}]\n")
    assert load_recipe(path).recipe.kind == "pretrain"
