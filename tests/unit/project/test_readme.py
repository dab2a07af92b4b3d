"""The README's own code runs as it is printed there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from quince.data.rows import check_rows
from quince.recipes.config import load_recipe
from quince.recipes.parts.loading import build_rewards, load_sources

README = Path(__file__).parents[3] / "README.md"
BLOCK = re.compile(r"^```(?:python|yaml)\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A folder with the README's files, on the import path."""
    for name, text in BLOCK.findall(README.read_text(encoding="utf-8")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_three_files_are_there(written):
    assert sorted(path.name for path in written.iterdir()) == ["my_data.py", "my_recipe.yaml", "my_reward.py"]


def test_the_recipe_validates_and_its_parts_work_together(written):
    recipe = load_recipe("my_recipe.yaml").recipe
    rows = check_rows(load_sources(recipe.data), "README")
    (reward,) = build_rewards(recipe.rewards)
    completions = [f"It is {row['answer'].upper()}" for row in rows[:-1]] + ["cat"]
    columns = {name: [row[name] for row in rows] for name in reward.columns}
    assert reward([row["prompt"] for row in rows], completions, **columns) == [1.0, 1.0, 0.0]
    assert reward.judge("Haus", {"answer": ""}).value is None


def test_mentioned_files_exist():
    text = README.read_text(encoding="utf-8")
    root = README.parent
    promised = {"runs/quickstart/board/index.html", "docs/results/diversity.md"}
    for name in set(re.findall(r"`((?:[\w.]+/)*[\w.]+\.(?:py|sh|md|cff|html))`", text)) - promised:
        assert (root / name).exists(), name
