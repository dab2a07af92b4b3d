"""Recipes that are wrong in unusual ways: one clear line each, at `validate`."""

from __future__ import annotations

import pytest
from quince.recipes.config import RecipeErrors, load_recipe

SUITE = "{name: NAME, data: [{kind: strategies}], reward: {kind: exact_match}}"


def problems(tmp_path, text, *overrides):
    file = tmp_path / "recipe.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(RecipeErrors) as caught:
        load_recipe(str(file), overrides)
    return str(caught.value).removeprefix(f"{file}: ")


TEXTS = {
    "nested": ("a: " + "[" * 3000 + "]" * 3000, "recipe.yaml:1 · nested too deeply"),
    "nested a little": ("extends: eval/tiny.yaml\ndescription: " + "[" * 90 + "]" * 90, "nested too deeply"),
    "nested mappings": ("extends: eval/tiny.yaml\nlimit: " + "{a: " * 90 + "1" + "}" * 90, "nested too deeply"),
    "a list as kind": ("kind: [1]", "kind · found a list of 1 · one of rlvr"),
    "a mapping as kind": ("kind: {a: 1}", "kind · found a mapping with a · one of rlvr"),
    "not UTF-8": (b"\xff\xfe\x00", "cannot be read"),
    "long number": ("extends: eval/tiny.yaml\nseed: " + "1" * 5000, "recipe.yaml:2 · seed · found '111"),
}


@pytest.mark.parametrize(("text", "words"), TEXTS.values(), ids=TEXTS)
def test_hostile_text_is_a_short_problem(text, words, tmp_path):
    found = problems(tmp_path, text)
    assert words in found and len(found) < 1000


def test_a_file_that_cannot_be_read_is_the_only_problem(tmp_path):
    assert problems(tmp_path, b"\xff").startswith("1 problem")


def test_an_override_that_is_nested_or_no_text_is_a_problem(tmp_path):
    text = "extends: eval/tiny.yaml\n"
    assert "description · nested too deeply" in problems(tmp_path, text, "description=" + "[" * 5000)
    assert "a YAML value (unacceptable character" in problems(tmp_path, text, "description=\x00")


def test_a_byte_order_mark_is_read_over(tmp_path):
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbfextends: eval/tiny.yaml\n")
    assert load_recipe(str(tmp_path / "a.yaml")).recipe.kind == "eval"


def test_a_folder_is_no_recipe(tmp_path):
    with pytest.raises(RecipeErrors, match=f"{tmp_path} · a folder · a YAML file in it"):
        load_recipe(str(tmp_path))


NAMES = ("..", ".", "board", "Board", "a/b", "a\\b", "", " ", "-a", "a.", "CON", "nul.x", "x" * 101, "model", "a.jsonl")


@pytest.mark.parametrize("name", NAMES)
def test_a_suite_stays_in_a_folder_of_its_own(name, tmp_path):
    text = f"extends: eval/tiny.yaml\nsuites: [{SUITE.replace('NAME', repr(name))}]\n"
    assert "suites.0.name" in problems(tmp_path, text)


@pytest.mark.parametrize("name", ["a", "AIME24", "qwen2.5", "x" * 100, "_a", "console", "boards"])
def test_ordinary_names_are_taken(name, tmp_path):
    (tmp_path / "a.yaml").write_text(f"extends: eval/tiny.yaml\nsuites: [{SUITE.replace('NAME', name)}]\n")
    assert load_recipe(str(tmp_path / "a.yaml")).recipe.suites[0].name == name


def test_names_that_a_file_system_takes_for_one_are_refused(tmp_path):
    suites = f"[{SUITE.replace('NAME', 'gsm8k')}, {SUITE.replace('NAME', 'GSM8K')}]"
    assert "suites.1.name · a second suite 'GSM8K'" in problems(
        tmp_path, f"extends: eval/tiny.yaml\nsuites: {suites}\n"
    )


@pytest.mark.parametrize("name", ["..", "a/b", "board"])
def test_a_stage_of_a_pipeline_stays_in_a_folder_of_its_own(name, tmp_path):
    text = f"kind: pipeline\nstages:\n  {name!r}: {{extends: eval/tiny}}\n"
    assert "not a name of a stage" in problems(tmp_path, text)


@pytest.mark.parametrize("value", [".inf", "-.inf", ".nan"])
@pytest.mark.parametrize("field", ["learning_rate", "max_grad_norm", "weight_decay"])
def test_trainer_numbers_are_finite(field, value, tmp_path):
    assert f"trainer.{field}" in problems(tmp_path, "extends: rlvr/tiny_grpo.yaml\n", f"trainer.{field}={value}")


def test_a_data_file_that_is_not_there_is_a_problem(tmp_path):
    suite = f"{{name: a, data: [{{kind: jsonl, path: '{{split}}.jsonl', root: {tmp_path}, split: test}}], "
    text = f"extends: eval/tiny.yaml\nsuites: [{suite} reward: {{kind: exact_match}}}}]\n"
    assert f"suites.0.data.0.path · no file at {tmp_path}/test.jsonl" in problems(tmp_path, text)
    (tmp_path / "test.jsonl").write_text("{}\n")
    load_recipe(str(tmp_path / "recipe.yaml"))
    assert "found no folder at" in problems(tmp_path, text.replace(str(tmp_path), "/nowhere"))


SECRETS = {
    "hf": "hf_canaryABCDEFGHIJKLMNOP",
    "OpenAI": "sk-proj-canary_0123-456789abcdef",
    "GitHub": "ghp_canaryABCDEFGHIJKLMNOPQRSTUV",
    "GitHub, fine-grained": "github_pat_11CANARY0abcdefghij_0123456789",
    "AWS": "AKIACANARY7EXAMPLE12",
    "Slack": "xoxb-1234567890-canary",
    "npm": "npm_canaryABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "header": "Authorization: Bearer canary123456",
    "bearer": "Bearer canaryABCDEFGHIJ",
    "query": "see https://host/x?token=canary123&b=1",
    "second parameter": "https://host/x?a=1&access_token=canary123",
    "slash in a password": "https://user:pa/canary@host/x",
    "name alone": "https://canary@host/x",
    "key": "-----BEGIN RSA PRIVATE KEY----- canary",
}


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_a_secret_of_any_service_is_refused_and_not_repeated(secret, tmp_path):
    found = problems(tmp_path, f"extends: eval/tiny.yaml\ndescription: 'x {secret}'\n")
    assert "recipe.yaml:2 · description · found" in found and "canary" not in found.lower()


ORDINARY = (
    "the bearer representation of things",
    "https://host:8000/@scope/x",
    "https://a.b/c?max_tokens=100000&page=2",
    "mail me@host.org",
    "task-0123456789abcdef sketch-of-a-long-name",
    "AKIRA and npm_config",
)


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_no_secret(text, tmp_path):
    (tmp_path / "a.yaml").write_text(f"extends: eval/tiny.yaml\ndescription: '{text}'\n")
    assert load_recipe(str(tmp_path / "a.yaml")).recipe.description == text
