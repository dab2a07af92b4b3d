"""A divergence or an advantage with an option of its own is one class: every command knows it, nothing else changes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[4]

DIVERGENCE = '''

@divergence
class Tsallis(RehearsalTerm):
    """Tsallis divergence of an order, f(u) = (u^order - 1 - order (u - 1)) / (order (order - 1))."""

    kind: Literal["tsallis"] = "tsallis"
    order: Positive = 2

    def f(self, x: Tensor) -> Pair:
        """For order 2, half of the chi-square divergence."""
        u, order = x.exp(), self.order
        return (u**order - 1 - order * (u - 1)) / (order * (order - 1)), (u**order - u) / (order - 1)
'''
ADVANTAGE = '''

@advantage
class Clipped(Advantage):
    """Minus the group's mean, cut."""

    kind: Literal["clipped"] = "clipped"
    most: Weight = 1.0

    def __call__(self, rewards: Tensor, correct: Tensor, log_probs: Tensor | None = None) -> Tensor:
        """See `Advantage`."""
        return centred(rewards).clamp(-self.most, self.most)
'''
SCRIPT = """
import contextlib, io, sys
from quince.recipes.cli import main

def run(*arguments):
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            main(list(arguments))
    except SystemExit as ended:
        return ended.code or 0, out.getvalue()
    return 0, out.getvalue()

recipe = sys.argv[1]
code, text = run("validate", recipe, "divergence.ordre=3")
assert code == 2 and "divergence.ordre" in text and "did you mean `order`?" in text, text
code, text = run("validate", recipe, "divergence.order=0")
assert code == 2 and "divergence.order" in text and "greater than or equal to 1" in text, text
code, text = run("show", "--schema", "rlvr")
assert code == 0 and "Tsallis" in text and "Clipped" in text, text
assert "torch" not in sys.modules
for command in (["validate"], ["show"], ["preview", "data"], ["train"], ["export"]):
    target = ["verl", recipe, "--out", sys.argv[2]] if command == ["export"] else [recipe]
    code, text = run(*command, *target)
    assert code == 0, (command, text)
    if command == ["show"]:
        assert "order: 3" in text and "most: 0.4" in text, text
"""


@pytest.mark.slow
def test_a_new_kind_works_everywhere_by_adding_one_class(tmp_path, toy):
    package = tmp_path / "path" / "quince"
    package.mkdir(parents=True)
    for entry in ROOT.iterdir():
        if entry.name != "recipes" and not entry.name.startswith("."):
            (package / entry.name).symlink_to(entry)
    shutil.copytree(ROOT / "recipes", package / "recipes", ignore=shutil.ignore_patterns("__pycache__"))
    for name, text in (("divergences", DIVERGENCE), ("advantages", ADVANTAGE)):
        with (package / "recipes" / "methods" / f"{name}.py").open("a", encoding="utf-8") as file:
            file.write(text)
    loaded = toy("trainer.max_steps=2", "data.0.size=6")
    recipe = tmp_path / "mine.yaml"
    data = yaml.safe_load(loaded.to_yaml())
    data["divergence"] = {"kind": "tsallis", "weight": 0.5, "order": 3}
    data["advantage"] = {"kind": "clipped", "most": 0.4}
    recipe.write_text(yaml.safe_dump(data), encoding="utf-8")
    script = tmp_path / "script.py"
    script.write_text(SCRIPT, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script), str(recipe), str(tmp_path / "verl")],
        env=os.environ | {"PYTHONPATH": str(package.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "tsallis" in (tmp_path / "verl" / "recipe.yaml").read_text(encoding="utf-8")
