"""The shipped base model knows what the tiny world needs it to know, on rows that it never saw."""

from pathlib import Path

import pytest
from quince.data.sources import load_rows
from quince.eval.engines import Sampling, load_engine
from quince.eval.measure.evaluate import evaluate
from quince.recipes.parts.models import model_path
from quince.rewards.base import make_reward


@pytest.fixture(scope="module")
def engine():
    return load_engine("transformers", model_path("tiny"))


@pytest.mark.parametrize(
    ("source", "reward", "low", "high", "pass_16"),
    [
        ({"kind": "sql_idioms", "split": "in_domain"}, "sql_execution", 0.4, 0.6, 0.9),
        ({"kind": "sql_idioms", "split": "cross_domain"}, "sql_execution", 0.37, 0.6, 0.9),
        ({"kind": "strategies", "split": "test"}, "exact_match", 0.37, 0.6, 0.9),
        ({"kind": "countdown", "split": "test"}, "countdown", 0.02, 0.2, 0.2),
    ],
)
def test_it_solves_about_half_at_once_and_nearly_all_in_sixteen(engine, source, reward, low, high, pass_16):
    rows = load_rows(**source, size=32, seed=5)
    metrics = evaluate(rows, make_reward(reward), engine, Sampling(n=16, max_tokens=48), (1, 16)).metrics()
    assert low <= metrics["pass@1"].interval.estimate <= high
    assert metrics["pass@16"].interval.estimate >= pass_16


def test_its_idioms_are_varied(engine):
    rows = load_rows("sql_idioms", split="in_domain", size=24, seed=6)
    metrics = evaluate(rows, make_reward("sql_execution"), engine, Sampling(n=16, max_tokens=48), (1,)).metrics()
    assert metrics["idiom_entropy"].interval.estimate > 0.4


def test_it_is_small_safe_and_speaks_qwens_format(engine):
    folder = Path(model_path("tiny"))
    assert sum(file.stat().st_size for file in folder.iterdir()) < 6_000_000
    assert {file.suffix for file in folder.iterdir()} <= {".safetensors", ".json", ".jinja", ".md"}
    assert engine.model.config.model_type == "qwen3"
    assert 1_000_000 <= engine.model.num_parameters() <= 4_000_000
    tokenizer = engine.tokenizer
    for tag in ("<tool_call>", "</tool_call>", "<|im_start|>", "<|im_end|>"):
        assert len(tokenizer(tag, add_special_tokens=False)["input_ids"]) == 1
    text = "SELECT name FROM singer; Колко струва? 3.14"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
