"""Parts of probe training: losses, gradients, order of rows, measures, and short runs."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from quince.data.compositional.generate import Task, generate
from quince.data.compositional.properties import follows
from quince.eval.measure.records import read_record
from quince.recipes.config import RecipeErrors, load_recipe
from quince.recipes.config.coverage import ProbeArchitecture, Stop
from quince.recipes.coverage.losses import TOKEN_LOSSES, answer_loss, make_perpendicular, stablemax_loss
from quince.recipes.coverage.measure import answers, by_mechanism, examine
from quince.recipes.coverage.model import new_model, new_tokenizer
from quince.recipes.coverage.overview import parameters, plan_lines
from quince.recipes.coverage.study import table
from quince.recipes.coverage.train_probe import EarlyStop, Shuffles, TensorRows, build_trainer, train_probe
from quince.recipes.evaluate.evaluation import run as evaluate
from safetensors.torch import load_file
from transformers import TrainerCallback

SMALL = [
    "data={values: 8, rows: [120]}",
    "architecture={layers: 2, width: 16, heads: 2}",
    "evaluate_every=4",
    "trainer.max_steps=8",
    "trainer.per_device_train_batch_size=32",
    "trainer.logging_steps=1",
    "trainer.disable_tqdm=true",
]


@pytest.fixture
def small(tmp_path):
    def load(*overrides, folder="run"):
        return load_recipe("coverage/tiny", [f"output_dir={tmp_path / folder}", *SMALL, *overrides])

    return load


def test_stablemax_is_its_definition():
    logits = torch.tensor([[-3.0, 0.0, 2.5, -0.5]], requires_grad=True)
    s = [1 / (1 + 3.0), 1.0, 3.5, 1 / 1.5]
    loss = stablemax_loss(logits, torch.tensor([2]))
    assert float(loss.detach()) == pytest.approx(-math.log(3.5 / sum(s)))
    loss.sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_stablemax_still_learns_where_softmax_is_rounded_away():
    logits = torch.tensor([[200.0, 0.0]])
    gradients = []
    for loss in TOKEN_LOSSES.values():
        given = logits.clone().requires_grad_()
        loss(given, torch.tensor([0])).sum().backward()
        gradients.append(float(given.grad.abs().sum()))
    assert gradients[0] == 0.0
    assert gradients[1] > 1e-5


def test_the_loss_is_the_mean_over_learned_tokens():
    logits = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    labels = torch.full((4, 3), -100)
    labels[:, -1] = torch.tensor([0, 1, 2, 3])
    output = type("Output", (), {"logits": logits})
    expected = torch.nn.functional.cross_entropy(logits[:, -1], labels[:, -1])
    assert torch.allclose(answer_loss("cross_entropy")(output, labels), expected)
    assert torch.allclose(answer_loss("cross_entropy")(output, labels, num_items_in_batch=8), expected / 2)


def test_a_perpendicular_gradient():
    torch.manual_seed(0)
    weight, gradient = torch.randn(5, 4), torch.randn(5, 4)
    before = gradient.clone()
    make_perpendicular(weight, gradient)
    assert abs(float((weight * gradient).sum())) < 1e-5
    assert float(gradient.norm()) == pytest.approx(float(before.norm()), rel=1e-5)
    zero = torch.zeros(2, 2)
    kept = torch.ones(2, 2)
    make_perpendicular(zero, kept)
    assert torch.allclose(kept, torch.ones(2, 2))


def test_perpendicular_gradients_reach_the_optimizer(small):
    trainer = build_trainer(small("gradient=perpendicular", "trainer.max_steps=1"))
    products = []
    step = trainer.create_optimizer().step

    def look(*args, **kwargs):
        weights = [p for p in trainer.model.parameters() if p.ndim >= 2 and p.grad is not None]
        with torch.no_grad():
            products.extend(float((p * p.grad).sum() / p.norm() / p.grad.norm().clamp(min=1e-30)) for p in weights)
        return step(*args, **kwargs)

    trainer.optimizer.step = look
    trainer.train()
    assert products and max(map(abs, products)) < 1e-4


def test_rows_come_once_a_shuffle():
    drawn = list(Shuffles(7, 24, seed=0))
    assert len(drawn) == 24
    for start in (0, 7, 14):
        assert sorted(drawn[start : start + 7]) == list(range(7))
    assert drawn == list(Shuffles(7, 24, seed=0)) != list(Shuffles(7, 24, seed=1))


def test_a_batch_is_one_lookup():
    data = generate(Task("two_hop", 8, 120))
    rows = TensorRows(data.train, 8, "cot")
    batch = rows.__getitems__([3, 5])
    assert batch["input_ids"].shape == batch["labels"].shape == (2, 4)
    assert torch.equal(batch["input_ids"][1], rows[5]["input_ids"])


class TableModel(torch.nn.Module):
    """Answers from tables, by what is written so far, like a model that has learned everything."""

    def __init__(self, data, target):
        super().__init__()
        self.data, self.target, self.device = data, target, torch.device("cpu")

    def forward(self, input_ids):
        tokens = input_ids.numpy()
        slots = self.data.task.program.slots
        _, results = self.data.task.program.keys(tokens[:, :slots], self.data.tables, self.data.task.values)
        step = tokens.shape[1] - slots
        right = results[:, step if self.target == "cot" else -1]
        logits = torch.nn.functional.one_hot(torch.from_numpy(right), self.data.task.values + 2).float()
        return type("Output", (), {"logits": logits[:, None]})


@pytest.mark.parametrize("target", ["direct", "cot", "filler"])
def test_answers_are_written_step_by_step(target):
    data = generate(Task("three_hop", 6, 200))
    found = answers(TableModel(data, target), data.test[0].inputs, 6, target, hops=3)
    assert np.array_equal(found, data.test[0].answers)
    assert len(answers(TableModel(data, target), data.test[0].inputs[:0], 6, target, hops=3)) == 0


def test_the_examination_counts_by_cutoff():
    data = generate(Task("two_hop", 8, 160))
    examination = examine(data, "direct")
    right = examination.right(TableModel(data, "direct"))
    assert all(found.all() for found in right.values())
    by_cutoff = examination.by_cutoff(right)
    assert sum(rows for _, rows in by_cutoff.values()) == len(data.test[0])
    accuracies = examination.accuracies(right)
    assert set(accuracies.values()) == {1.0}
    assert {"accuracy/train", "accuracy/validation", "accuracy/type_0", "accuracy/type_3"} <= set(accuracies)


@pytest.mark.parametrize("tables", ["random", "symmetric", "ignored_argument"])
def test_rows_are_counted_by_what_gives_their_answer_away(tables):
    data = generate(Task("two_hop", 10, 380, tables=tables))
    examination = examine(data, "direct")
    right = {f"type_{kind}": follows(data, rows) for kind, rows in data.test.items()}
    counts = by_mechanism(examination, right)
    if tables == "random":
        assert counts == {}
        return
    for kind, rows in data.test.items():
        own = counts[f"type_{kind}"]
        assert sum(total for _, total in own.values()) == len(rows)
        assert own["property"][0] == own["property"][1] and own["neither"][0] == 0
    # Values that the first table ignores are equivalent, so that there equivalence gives away all of type 2.
    alone = counts["type_2"]
    if tables == "symmetric":
        assert alone["property"][1] > 5 * alone["equivalence"][1]
    else:
        assert alone["equivalence"][1] == len(data.test[2])


def test_the_baseline_is_the_best_single_slot():
    """With t = x3 in every row the last slot says everything, on held-out rows too."""
    data = generate(Task("two_hop", 8, 160))
    rows = data.train
    forced = type(data)(
        data.task,
        data.tables,
        data.used,
        type(rows)(rows.inputs, np.stack([rows.results[:, 0], rows.inputs[:, 2]], axis=1)),
        data.validation,
        {0: type(rows)(data.test[0].inputs, np.stack([data.test[0].results[:, 0], data.test[0].inputs[:, 2]], axis=1))},
    )
    assert examine(forced, "direct").marginal_baseline()["type_0"] == 1.0


def test_training_stops_on_validation_rows_alone():
    stop = EarlyStop(Stop(accuracy=0.9, evaluations=2))
    control = type("Control", (), {"should_training_stop": False})()
    state = type("State", (), {"log_history": []})()
    for validation, stops in ((0.95, False), (0.5, False), (0.95, False), (0.95, True)):
        state.log_history += [{"accuracy/validation": validation, "accuracy/type_0": 1.0}, {"loss": 1.0}]
        stop.on_evaluate(None, state, control)
        assert control.should_training_stop is stops


def test_the_tokenizer_reads_what_files_hold():
    tokenizer = new_tokenizer(12, "filler")
    assert tokenizer("<t_1><t_11></b><t_0></a>")["input_ids"] == [1, 11, 12, 0, 13]
    assert tokenizer.decode([1, 11, 12]) == "<t_1><t_11></b>"


@pytest.mark.parametrize("overrides", [[], ["data.target=cot"], ["data.target=filler"]])
def test_the_plan_counts_the_weights(small, overrides):
    recipe = small(*overrides).recipe
    trainer = build_trainer(small(*overrides))
    length = trainer.train_dataset.tokens.shape[1]
    assert parameters(recipe, length) == sum(weight.numel() for weight in trainer.model.parameters())


def test_the_plan_says_how_many_rows_are_needed(small):
    loaded = small("data={values: 50, rows: [20000]}")
    assert "4 take 20707 rows" in dict(plan_lines(loaded, loaded.recipe))["kappa"]


def test_the_model_has_no_dropout():
    model = new_model(ProbeArchitecture(width=16, heads=2), 8, "direct", 3, seed=0).train()
    tokens = torch.zeros(1, 3, dtype=torch.long)
    assert torch.equal(model(input_ids=tokens).logits, model(input_ids=tokens).logits)


def test_a_short_run_leaves_a_result(small, logged):
    loaded = small()
    folder = train_probe(loaded)
    result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    assert result["steps"] == 8
    assert set(result["right"]) == {"train", "validation", "type_0", "type_1", "type_2", "type_3"}
    assert np.shape(result["states"]["iicg"]["type_0"]["b1"]) == (3, 3)
    assert "other_bridge/layer_1/position_1" in result["states"]["interchange"]
    assert "type_0" in table([result])
    assert len(logged(folder)) == 8


def test_a_resumed_run_ends_as_one_that_was_not_stopped(small):
    options = ["trainer.save_strategy=steps", "trainer.save_steps=4"]
    whole, half = small(*options, folder="whole"), small(*options, folder="half")
    train_probe(whole)
    trainer = build_trainer(half)
    trainer.add_callback(StopAt(4))
    trainer.train()
    train_probe(half, resume=True)
    ends = [load_file(f"{loaded.recipe.output_dir}/model/model.safetensors") for loaded in (whole, half)]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


class StopAt(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step >= self.step


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("architecture.heads=3", "do not divide a width of 64"),
        ("data={family: non_tree, tables: same_f12}", "one table for two and for three arguments"),
        ("data={family: one_hop, target: cot}", "no bridge values in one_hop"),
        ("data.rows=[100, 100]", "a size twice"),
        ("trainer.max_steps=0", "no end"),
        ("trainer.num_train_epochs=3", "write `max_steps`"),
        ("loss=stable_max", "stablemax"),
        ("data.validation=1", "data.validation"),
    ],
)
def test_what_does_not_fit_is_said(override, words):
    with pytest.raises(RecipeErrors, match=words):
        load_recipe("coverage/tiny", [override])


def test_an_evaluation_finds_what_training_reported(small, tmp_path):
    """The suites of `eval/coverage` ask for the held-out rows of the same tables, and their answers make records."""
    train_probe(small("trainer.max_steps=40"))
    result = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    tables = [("values", 8), ("compositions", 120)]
    same = [f"suites.{suite}.data.0.{field}={value}" for suite in range(4) for field, value in tables]
    model = f"model.id={tmp_path / 'run' / 'model'}"
    evaluate(load_recipe("eval/coverage", [model, f"output_dir={tmp_path / 'found'}", *same]))
    found = {}
    for kind, suite in enumerate(("both_used", "neither_used", "second_used", "first_used")):
        problems = read_record(tmp_path / "found" / suite).problems()
        found[f"type_{kind}"] = [sum(problem.correct for problem in problems), len(problems)]
    assert found == {name: result["right"][name] for name in found}
