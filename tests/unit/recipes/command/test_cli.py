"""The `quince` command: exit codes, words, speed, and what is imported."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys

import pytest
from quince.recipes.cli import main
from quince.recipes.config import library_recipes

BAD = """kind: rlvr
model: {id: tiny, dtype: float31}
data: [{kind: sql_idoms}]
rewards: [{kind: sql_execution, timeouts: 3, weight: "1"}]
split: {threshold: 9}
divergence: {kind: jensen_shanon, weight: 1}
trainer: {learning_rat: 1e-5, max_steps: 8.7, loss_type: foo, num_generations: 7}
seed: -1
"""
# Prints CPU seconds of this process and whether torch or another heavy library was imported.
MEASURED = """
import sys, time
from quince.recipes.cli import main
try:
    main(sys.argv[1:])
except SystemExit as error:
    code = error.code
heavy = [name for name in ("torch", "transformers", "trl", "datasets", "vllm", "matplotlib") if name in sys.modules]
print("MEASURED", time.process_time(), code or 0, *heavy)
"""


def run(*arguments):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    return caught.value.code or 0


def measured(*arguments, **env):
    """CPU seconds, exit code, heavy imports and output of the command in a new process."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *arguments], capture_output=True, text=True, env={**os.environ, **env}
    )
    *output, last = done.stdout.splitlines()
    _, seconds, code, *heavy = last.split()
    return float(seconds), int(code), heavy, "\n".join(output) + done.stderr


@pytest.fixture
def bad(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text(BAD, encoding="utf-8")
    return str(path)


def test_help_is_quick_and_light():
    seconds, code, heavy, text = measured("--help")
    assert (code, heavy) == (0, []) and seconds <= 0.5
    for verb in ("list", "show", "validate", "plan", "preview", "split", "train", "eval", "board", "copy"):
        assert f"\n  {verb}" in text


@pytest.mark.parametrize("verb", ["validate", "train", "plan", "show"])
def test_ten_mistakes_are_ten_messages_before_torch(bad, verb):
    seconds, code, heavy, text = measured(verb, bad)
    lines = [line for line in text.splitlines() if line.startswith("  ")]
    assert (code, heavy) == (2, []) and seconds <= 1.5
    assert len(lines) >= 10 and all("bad.yaml:" in line for line in lines), text
    assert "Traceback" not in text


def test_every_rank_speaks_and_what_several_say_is_said_once(bad, tmp_path):
    ranks = {"LOCAL_RANK": "1", "WORLD_SIZE": "8", "QUINCE_MESSAGES": str(tmp_path)}
    _, code, _, text = measured("train", bad, RANK="1", **ranks)
    assert code == 2 and text.startswith("[rank 1 of 8] ") and "bad.yaml" in text
    _, code, _, text = measured("train", bad, RANK="2", **ranks)
    assert (code, text.strip()) == (2, "")
    del ranks["QUINCE_MESSAGES"]  # processes that something else has launched
    assert measured("train", bad, RANK="2", **ranks)[3].startswith("[rank 2 of 8] ")


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("show", "rlvr/tiny_dph_js"),
        ("show", "--schema", "rlvr"),
        ("validate", "rlvr/llama31_8b_sql_dph_js"),
        ("plan", "rlvr/llama31_8b_sql_dph_js"),
        ("plan", "eval/math"),
        ("plan", "pretrain/tiny"),
    ],
)
def test_looking_imports_nothing_heavy(arguments):
    seconds, code, heavy, _ = measured(*arguments)
    assert (code, heavy) == (0, []) and seconds <= 1.5


def test_the_commands_of_a_plan_are_the_ones_that_were_planned(capsys):
    given = ["rlvr/llama31_8b_sql_dph_js", "divergence={kind: jensen_shannon, weight: 0.1}", "seed=1"]
    assert run("plan", *given) == 0
    lines = dict(line.split(None, 1) for line in capsys.readouterr().out.splitlines() if line[:1].strip())
    train = shlex.split(lines["command"])
    assert train == ["quince", "train", *given]
    assert shlex.split(lines["split"])[: len(train)] == ["quince", "split", *given]
    assert shlex.split(lines["which"])[-len(given) :] == given
    assert run("plan", "rlvr/tiny_grpo") == 0
    assert "command  quince train rlvr/tiny_grpo\n" in capsys.readouterr().out


def test_list_names_every_recipe(capsys):
    assert run("list") == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert names == list(library_recipes())


def test_show_is_a_recipe(capsys, tmp_path):
    assert run("show", "rlvr/tiny_dph_js", "seed=7") == 0
    text = capsys.readouterr().out
    path = tmp_path / "again.yaml"
    path.write_text(text, encoding="utf-8")
    assert "# command line" in text
    assert run("validate", str(path)) == 0


@pytest.mark.parametrize("kind", ["rlvr", "eval", "pretrain"])
def test_the_schema_is_json_and_knows_extends(kind, capsys):
    assert run("show", "--schema", kind) == 0
    schema = json.loads(capsys.readouterr().out)
    assert "extends" in schema["properties"] and "required" not in schema
    assert schema["additionalProperties"] is False


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "--schema", "rlrv"), "did you mean `rlvr`?"),
        (("show",), "name a recipe"),
        (("validate", "nothing"), "no such recipe"),
        (("train", "eval/tiny"), "quince eval"),
        (("eval", "rlvr/tiny_grpo"), "quince train"),
        (("split", "rlvr/tiny_grpo"), "no `split` section"),
        (("validate", "rlvr/tiny_grpo", "seed"), "not an override"),
        (("frobnicate",), "No such command"),
    ],
)
def test_wrong_use_is_a_message_and_code_2(arguments, words, capsys):
    assert run(*arguments) == 2
    assert words in capsys.readouterr().err


def test_copy_writes_a_recipe_that_runs_and_never_over_a_file(tmp_path, capsys):
    assert run("copy", "rlvr/tiny_dph_js", str(tmp_path)) == 0
    path = capsys.readouterr().out.strip()
    assert run("validate", path) == 0
    assert run("copy", "rlvr/tiny_dph_js", str(tmp_path)) == 2
    assert run("copy", "rlvr/tiny_dph_js", str(tmp_path / "mine.yaml")) == 0


def test_plan_of_a_real_recipe_says_what_it_needs(capsys):
    assert run("plan", "rlvr/llama31_8b_sql_dph_js") == 0
    text = capsys.readouterr().out
    for words in ("8.03 G parameters", "680 optimizer steps", "Adam", "vLLM", "accelerate launch --num_processes 8"):
        assert words in text
    assert "reference copy" not in text


def test_only_a_divergence_on_rollouts_needs_a_reference_copy(capsys):
    rollouts = "divergence={kind: reverse_kl, on: rollouts, weight: 0.1, estimator: k2_loss}"
    run("plan", "rlvr/llama31_8b_sql_grpo", rollouts)
    assert "reference copy" in capsys.readouterr().out
    run("plan", "rlvr/qwen3_4b_math_grpo_lora", rollouts)
    assert "reference copy" not in capsys.readouterr().out


def test_preview_rewards_accepts_gold_and_refuses_the_rest(capsys):
    assert run("preview", "rewards", "rlvr/tiny_grpo", "-n", "2") == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines() if "sql_execution" in line]
    values = {(row[2], row[row.index("sql_execution") + 1]) for row in rows}
    assert values == {("gold", "1"), ("empty", "0"), ("near", "0")}


def test_preview_data_of_pretraining_shows_rows(capsys):
    assert run("preview", "data", "pretrain/tiny", "-n", "1") == 0
    assert "countdown" in capsys.readouterr().out
