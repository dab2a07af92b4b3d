"""Loss and gradient norm of twenty steps of the other families: SFT, DPO, pretraining, prompt compression, adapters.

As in `test_curves.py`. Pretraining and Muon cannot do without Adam and orthogonal steps, which blow rounding errors
up; small steps and a large epsilon hold that down. Where a change is meant:

    QUINCE_UPDATE_CURVES=1 python -m pytest tests/golden
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import SECONDS, TINY, questions

FILE = Path(__file__).with_name("family_curves.json")

TRAINER = """
trainer:
  max_steps: 20
  learning_rate: 0.03
  lr_scheduler_type: constant
  optim: sgd
  logging_steps: 1
  save_strategy: "no"
  disable_tqdm: true
  gradient_checkpointing: false
  per_device_train_batch_size: 4
"""
ADAM = TRAINER.replace("  optim: sgd", "  adam_epsilon: 1e-2").replace("learning_rate: 0.03", "learning_rate: 0.01")
NO_CHECKPOINTING = "  gradient_checkpointing: false\n"
SFT_DATA = "kind: sft\nmodel: MODEL\ndata: [{kind: jsonl, path: SFT_ROWS}]"
SFT = f"{SFT_DATA}{TRAINER}  max_length: 64\n  packing: true\n"
MUON = f"{SFT_DATA}\noptimizer: {{kind: muon, learning_rate: 1e-5}}{ADAM}  max_length: 64\n  packing: true\n"
DPO = f"kind: dpo\nmodel: MODEL\ndata: [{{kind: jsonl, path: DPO_ROWS}}]{TRAINER}  max_length: 64\n"
PRETRAIN = (
    f"kind: pretrain\narchitecture: {json.dumps(TINY | {'max_positions': 160})}\nmuon_learning_rate: 1e-5\n"
    "mixture: [{kind: everyday, size: 80}]\ntokenizer: {vocab_size: 320, rows_per_source: 80}"
    f"{ADAM.replace(NO_CHECKPOINTING, '')}"
)
COMPRESSION = (
    "kind: rlvr\nmodel: MODEL\nreaders: [{name: a, model: MODEL, max_tokens: 4}]\n"
    "rewards: [{kind: capsule, gate: cut, utility: agreement, helped_only: false}]\n"
    "data: [{kind: jsonl, path: PASSAGES}]"
    f"{TRAINER.replace('size: 4', 'size: 16')}  num_generations: 4\n  max_completion_length: 8\n  loss_type: dapo\n"
    "  temperature: 0.8\n"
)
CURVES = {
    "sft": (SFT, []),
    "sft padded": (SFT, ["trainer.packing=false"]),
    "sft accumulated": (SFT, ["trainer.per_device_train_batch_size=2", "trainer.gradient_accumulation_steps=2"]),
    "sft adapter": (SFT, ["model.adapter={kind: lora, rank: 2}", "trainer.learning_rate=0.001"]),
    "sft muon": (MUON, []),
    "dpo": (DPO, []),
    "dpo by stored log-probs": (DPO, ["trainer.precompute_ref_log_probs=true", "trainer.beta=0.5"]),
    "pretrain": (PRETRAIN, []),
    "pretrain lfm2": (PRETRAIN, ["architecture.kind=lfm2"]),
    "capsules": (COMPRESSION, []),
    "capsules by shared prompts": (COMPRESSION, ["share_prompts=true"]),
    "capsulator": (COMPRESSION, ["objective={kind: capsulator}"]),
}


ALIKE = [{"sft", "sft accumulated"}, {"capsules", "capsules by shared prompts"}]


@pytest.fixture(scope="module")
def recipes(golden_model, rows_file, tmp_path_factory):
    """Recipe text to a file that names the model and the rows."""
    names = {
        "MODEL": f"{{id: {golden_model}, dtype: float32}}",
        "SFT_ROWS": str(rows_file("sft", sft_rows())),
        "DPO_ROWS": str(rows_file("dpo", dpo_rows())),
        "PASSAGES": str(rows_file("passages", passage_rows())),
    }
    file = tmp_path_factory.mktemp("recipe") / "own.yaml"

    def write(text: str) -> Path:
        for name, value in names.items():
            text = text.replace(name, value)
        file.write_text(text)
        return file

    return write


def sft_rows() -> list[dict]:
    """Sums with their answers, of one turn and of two."""
    asked = [[question, answer(sum_of(question))] for question in questions()]
    turns = [pair if number % 3 else [*pair, *asked[number - 1]] for number, pair in enumerate(asked)]
    return [{"id": str(number), "task": "sum", "messages": messages} for number, messages in enumerate(turns)]


def dpo_rows() -> list[dict]:
    """Sums, with the right answer before one that is too large by as much as the row's number."""
    return [
        {
            "id": str(number),
            "task": "sum",
            "prompt": [question],
            "chosen": [answer(sum_of(question))],
            "rejected": [answer(sum_of(question) + number + 1)],
        }
        for number, question in enumerate(questions())
    ]


def passage_rows() -> list[dict]:
    """Passages of one fact."""
    return [
        {
            "id": str(number),
            "task": "compression",
            "prompt": [{"role": "user", "content": f"{number} is {number % 5}"}],
            "passage": f"{number} is {number % 5}",
            "budget": 4,
            "questions": json.dumps([{"question": f"{number}?", "answer": str(number % 5)}]),
        }
        for number in range(8)
    ]


def sum_of(question: dict[str, str]) -> int:
    return sum(int(part) for part in question["content"].split(" + "))


def answer(value: int) -> dict[str, str]:
    return {"role": "assistant", "content": str(value)}


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_is_what_it_was(name, recipes, train, curves):
    text, overrides = CURVES[name]
    curves.check(name, train(recipes(text), *overrides))


def test_every_kind_has_a_curve_of_its_own(curves):
    curves.check_names(CURVES, ALIKE)


def test_the_curves_are_cheap(spent):
    assert sum(spent) < SECONDS
