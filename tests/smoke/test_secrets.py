"""Secrets of the environment appear in nothing that a whole run writes or prints."""

from __future__ import annotations

import pytest
from quince.recipes.cli import main

pytestmark = pytest.mark.slow

CANARY = "canary7f3a"
SECRETS = {
    "HF_TOKEN": f"hf_{CANARY}",
    "WANDB_API_KEY": CANARY,
    "OPENAI_API_KEY": f"sk-{CANARY}",
    "HTTPS_PROXY": f"http://user:{CANARY}@127.0.0.1:9",
}
EVALUATION = """
extends: _base/eval.yaml
model: {id: MODEL, dtype: float32}
suites:
  - name: old_skill
    data: [{kind: strategies, split: test, size: 4}]
    reward: {kind: exact_match}
    sampling: {n: 2, max_tokens: 6}
    ks: [1, 2]
"""


def quince(*arguments: object) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code


def test_no_secret_of_the_environment_is_written_or_printed(toy, tmp_path, monkeypatch, capfd):
    toy()
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    run, records, site = tmp_path / "run", tmp_path / "records", tmp_path / "site"
    (tmp_path / "evaluation.yaml").write_text(EVALUATION.replace("MODEL", str(run / "model")))
    commands = [
        ("train", tmp_path / "toy.yaml", f"output_dir={run}", "trainer.max_steps=1", "trainer.save_strategy=steps"),
        ("eval", tmp_path / "evaluation.yaml", f"output_dir={records}"),
        ("board", records, "--out", site),
        ("card", records, run / "model"),
    ]
    for command in commands:
        assert quince(*command) == 0, command
    # What is refused is a message, and that has no secret in it either.
    assert quince("train", tmp_path / "toy.yaml", f"model.revision=http://me:{CANARY}@host/") == 2
    printed = capfd.readouterr()
    assert "a URL with a name or password" in printed.err
    assert CANARY not in printed.out + printed.err
    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    assert {"environment.json", "recipe.resolved.yaml", "README.md", "record.json", "index.html"} <= {
        f.name for f in files
    }
    assert [file for file in files if CANARY.encode() in file.read_bytes()] == []
