"""Recipes and stores of a stranger: nothing is built or unpickled, and no secret is taken in."""

from __future__ import annotations

import pytest
import torch
from quince.recipes.config import RecipeErrors, load_recipe
from quince.recipes.rlvr.store import RehearsalStore, StoreError

BUILT = {
    "object": "!!python/object/apply:os.system [touch MARKER]",
    "name": "!!python/name:os.system",
    "module": "!!python/module:os",
    "by name": "{_target_: os.system, command: touch MARKER}",
}


@pytest.mark.parametrize("value", BUILT.values(), ids=BUILT)
@pytest.mark.parametrize("field", ["advantage", "data"])
def test_a_recipe_builds_no_objects(value, field, tmp_path):
    file, marker = tmp_path / "hostile.yaml", tmp_path / "marker"
    value = value.replace("MARKER", str(marker))
    value = f"[{value} ]" if field == "data" else value
    file.write_text(f"extends: rlvr/tiny_grpo.yaml\n{field}: {value}\n")
    with pytest.raises(RecipeErrors) as caught:
        load_recipe(str(file))
    assert any(f"{file}:2" in str(problem) and field in str(problem) for problem in caught.value.problems)
    assert not marker.exists()


SECRETS = {
    "url": "model.id=https://user:canary@host/model",
    "hub token": "model.revision=hf_canaryABCDEFGHIJKLMNOP",
    "api key": "description=sk-canary-0123456789abcdef",
    "field": "trainer.hub_token=canary",
}


@pytest.mark.parametrize("override", SECRETS.values(), ids=SECRETS)
def test_a_secret_in_a_recipe_is_refused_and_not_repeated(override):
    with pytest.raises(RecipeErrors) as caught:
        load_recipe("rlvr/tiny_grpo", [override, "seed=no-number"])
    (problem,) = caught.value.problems
    assert problem.where == "command line" and problem.field == override.partition("=")[0]
    assert "the environment" in str(problem) and "canary" not in str(caught.value)


def test_the_secret_of_a_server_is_refused_with_its_line(tmp_path):
    file = tmp_path / "server.yaml"
    file.write_text("extends: eval/tiny.yaml\nengine: {kind: vllm}\ndescription: see http://me:canary@host:8000/v1\n")
    with pytest.raises(RecipeErrors, match=r"server\.yaml:3 · description · found a URL with a name or password"):
        load_recipe(str(file))


@pytest.mark.parametrize("text", ["mail to me@host.org", "https://huggingface.co/papers/2509.07430", "tokens_per_s"])
def test_ordinary_text_is_no_secret(text):
    assert load_recipe("rlvr/tiny_grpo", [f"description={text}"]).recipe.description == text


class Bomb:
    def __init__(self, marker) -> None:
        self.marker = marker

    def __reduce__(self):
        return type(self.marker).touch, (self.marker,)


@pytest.mark.parametrize("name", ["store.pt", "store.safetensors"])
def test_a_pickled_rehearsal_store_is_refused(name, tmp_path):
    marker = tmp_path / "marker"
    torch.save({"prompt_ids": Bomb(marker)}, tmp_path / name)
    (tmp_path / "store.json").write_text('{"format": "quince-rehearsal-1"}')
    with pytest.raises(StoreError, match="no readable rehearsal store"):
        RehearsalStore(tmp_path)
    assert not marker.exists()
