"""Conversations become tokens and labels; what is left out is counted and what is wrong is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from quince.data.chat.renderer import read_template
from quince.data.rows import RowError
from quince.recipes.config import load_recipe
from quince.recipes.parts.models import model_path
from quince.recipes.sft.examples import (
    IGNORED,
    Counts,
    interleaved,
    load_conversations,
    make_examples,
    training_renderer,
)


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model_path("tiny"))


def row(*answers: str, name: str = "a") -> dict:
    turns = [[{"role": "user", "content": "hi"}, {"role": "assistant", "content": answer}] for answer in answers]
    return {"id": name, "task": "t", "messages": [message for turn in turns for message in turn]}


def test_labels_are_the_assistants_tokens_with_the_one_that_stops(tokenizer):
    (example,), counts = make_examples([row("yes", "no")], training_renderer(tokenizer), 100, "drop")
    learned = [token for token, label in zip(*example.values(), strict=True) if label != IGNORED]
    assert tokenizer.decode(learned) == "yes<|im_end|>no<|im_end|>"
    assert all(label in (IGNORED, token) for token, label in zip(*example.values(), strict=True))
    assert counts == Counts(1, len(example["input_ids"]), len(learned), longest=len(example["input_ids"]))


def test_what_is_too_long_is_dropped_cut_or_refused(tokenizer):
    rows = [row("short"), row("long " * 50, name="b")]
    renderer = training_renderer(tokenizer)
    kept, counts = make_examples(rows, renderer, 40, "drop")
    assert len(kept) == 1 and counts.dropped == 1 and "too long and 1 left out" in str(counts)
    kept, counts = make_examples(rows, renderer, 40, "truncate")
    assert len(kept[1]["input_ids"]) == 40 and counts.truncated == 1 and counts.longest > 40
    with pytest.raises(RowError, match=r"b · \d+ tokens · at most trainer.max_length = 40 · raise it"):
        make_examples(rows, renderer, 40, "refuse")
    with pytest.raises(RowError, match="none of 2 conversations has at most 3 tokens"):
        make_examples(rows, renderer, 3, "truncate")


def test_rows_without_an_assistant_are_named(tokenizer):
    silent = {"id": "a", "task": "t", "messages": [{"role": "user", "content": "hi"}]}
    with pytest.raises(RowError, match="a · messages · no token is the assistant's · end with an assistant turn"):
        make_examples([silent], training_renderer(tokenizer), None, "drop")
    with pytest.raises(RowError, match="a · messages · missing · SFT needs whole conversations"):
        make_examples([{"id": "a", "prompt": []}], training_renderer(tokenizer), None, "drop")


def with_template(template: str | None):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model_path("tiny"))
    tokenizer.chat_template = template
    return tokenizer


def test_a_family_that_trl_knows_is_trained_with_its_training_template():
    trl = pytest.importorskip("trl")
    own = (Path(trl.__path__[0]) / "chat_templates" / "qwen3.jinja").read_text(encoding="utf-8")
    renderer = training_renderer(tokenizer := with_template(own))
    assert "generation" in renderer.chat_template and tokenizer.chat_template == own
    (example,), _ = make_examples([row("yes")], renderer, None, "drop")
    learned = [label for label in example["labels"] if label != IGNORED]
    assert tokenizer.decode(learned) == "<think>\n\n</think>\n\nyes<|im_end|>"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (None, "has no chat template · name one with `model.chat_template`"),
        ("{% for m in messages %}{{ m.content }}{% endfor %}", "does not say what the assistant writes"),
        (
            read_template("qwen").replace(
                '{{- "<|im_end|>" -}}\n        {%- endgeneration -%}', '{%- endgeneration -%}{{- "<|im_end|>" -}}'
            ),
            "what ends an assistant turn is outside",
        ),
    ],
)
def test_templates_that_would_train_wrongly_are_refused(template, message):
    with pytest.raises(RowError, match=message):
        training_renderer(with_template(template))


def recipe(tmp_path, *lines: str):
    file = tmp_path / "sft.yaml"
    sources = ["  - {kind: strategies, size: 6}", "  - {kind: countdown, size: 4}"]
    file.write_text("\n".join(["kind: sft", "model: {id: tiny}", "data:", *sources, *lines]))
    return load_recipe(str(file)).recipe


def test_sources_are_mixed_at_random_but_the_same_way_again(tmp_path):
    first, second = (load_conversations(recipe(tmp_path, "seed: 3")) for _ in range(2))
    other = load_conversations(recipe(tmp_path, "seed: 4"))
    assert first == second != other and len(first) == 10
    assert {r["task"] for r in first[:6]} == {r["task"] for r in first}


def test_a_curriculum_keeps_its_order(tmp_path):
    rows = load_conversations(recipe(tmp_path, "shuffle: false", "first: [{kind: everyday, size: 2}]"))
    assert [r["task"] for r in rows[:2]] == ["everyday"] * 2
    for task in ("strategies", "countdown"):
        ids = [r["id"] for r in rows if r["task"] == task]
        assert ids == sorted(ids, key=lambda text: int(text.rpartition("/")[2]))


def test_shares_thin_sources_out(tmp_path):
    rows = load_conversations(
        recipe(tmp_path).model_copy(
            update={
                "data": [
                    source.model_copy(update={"share": share})
                    for source, share in zip(recipe(tmp_path).data, (1.0, 2.0), strict=True)
                ]
            }
        )
    )
    assert sorted(r["task"] for r in rows) == ["countdown"] * 4 + ["strategies"] * 2


def test_interleaving_spreads_each_source_over_the_whole():
    assert interleaved([[1, 2, 3, 4], ["a", "b"]]) == [1, "a", 2, 3, "b", 4]
