"""Packed conversations give the losses and gradients that they give alone."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
import torch
from quince.recipes.sft.examples import BATCH, IGNORED, make_dataset
from quince.recipes.sft.trainer import BY_CONVERSATION, PackCollator, SftTrainer, use_on_cpu
from transformers import AutoConfig, AutoModelForCausalLM
from trl import SFTConfig, SFTTrainer

ARCHITECTURES = ("qwen3", "llama", "gemma2")


def make_model(kind: str, attention: str = "sdpa"):
    config = AutoConfig.for_model(
        kind,
        vocab_size=97,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        max_position_embeddings=512,
        pad_token_id=0,
        # Shorter than the conversations, so that a window that counts from the pack would show.
        **({"sliding_window": 16} if kind == "gemma2" else {}),
    )
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, attn_implementation=attention, dtype=torch.float32)


def make_examples(count: int, seed: int = 0, longest: int = 60) -> list[dict]:
    rng = random.Random(seed)
    examples = []
    for _ in range(count):
        ids = [rng.randrange(1, 97) for _ in range(rng.randint(3, longest))]
        start = rng.randrange(1, len(ids))
        examples.append({"input_ids": ids, "labels": [IGNORED] * start + ids[start:]})
    return examples


@pytest.fixture
def trainer(tmp_path, random_model):
    """`trainer(model, packing, kind)`: a trainer of examples with packs of 128 tokens, and its one batch."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(random_model)

    def make(model, packing: bool, kind=SftTrainer):
        dataset = make_dataset(make_examples(24), packing, 128, 0)
        arguments = SFTConfig(
            output_dir=str(tmp_path),
            use_cpu=True,
            bf16=False,
            packing=packing,
            max_length=128,
            per_device_train_batch_size=len(dataset),
            gradient_checkpointing=False,
            report_to="none",
            dataset_kwargs={"skip_prepare_dataset": True},
        )
        trainer = kind(model=model, args=arguments, train_dataset=dataset, processing_class=tokenizer)
        return trainer, trainer.data_collator([dataset[index] for index in range(len(dataset))])

    return make


def loss_and_gradients(trainer, batch) -> tuple[float, torch.Tensor]:
    trainer.model.train()
    trainer.model.zero_grad()
    count = (batch["labels"][:, 1:] != IGNORED).sum()
    loss = trainer.compute_loss(trainer.model, dict(batch), num_items_in_batch=count)
    loss.backward()
    gradients = [parameter.grad.flatten() for parameter in trainer.model.parameters() if parameter.grad is not None]
    return float(loss.detach()), torch.cat(gradients)


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("kind", ARCHITECTURES)
def test_packed_is_padded(kind, attention, trainer):
    padded = loss_and_gradients(*trainer(make_model(kind, attention), packing=False))
    packed = loss_and_gradients(*trainer(make_model(kind, attention), packing=True))
    assert packed[0] == pytest.approx(padded[0], abs=1e-5)
    torch.testing.assert_close(packed[1], padded[1], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("kind", ["qwen3", "gemma2"])
def test_the_loss_is_trls(kind, packing, trainer):
    if kind == "gemma2" and packing:
        pytest.skip("TRL joins packs to one row, in which a window counts from the row's start")
    ours = loss_and_gradients(*trainer(make_model(kind, "eager"), packing))
    theirs = loss_and_gradients(*trainer(make_model(kind, "eager"), packing, SFTTrainer))
    assert ours[0] == pytest.approx(theirs[0], abs=1e-5)
    torch.testing.assert_close(ours[1], theirs[1], atol=1e-5, rtol=1e-4)


def test_attention_by_conversation_is_for_plain_causal_layers_on_cpus():
    assert use_on_cpu(make_model("qwen3")) and use_on_cpu(make_model("llama"))
    assert not use_on_cpu(make_model("qwen3", "eager"))
    assert not use_on_cpu(make_model("gemma2"))


@pytest.mark.parametrize("form", ["one mask", "by conversation"])
def test_a_conversation_sees_no_other(form):
    model = make_model("qwen3").eval()
    examples = make_examples(3, seed=1)
    pack = {name: [token for example in examples for token in example[name]] for name in ("input_ids", "labels")}
    pack["seq_lengths"] = [len(example["input_ids"]) for example in examples]
    batch = PackCollator(0)([pack])
    more = {}
    if form == "by conversation":
        model.set_attn_implementation(BY_CONVERSATION)
        more["cu_seq_lens_q"] = torch.tensor([0, *torch.tensor(pack["seq_lengths"]).cumsum(0)])
    first, second = pack["seq_lengths"][:2]
    for place in (0, first + second):  # a token of the first conversation, one of the third
        changed = batch["input_ids"].clone()
        changed[0, place] = (changed[0, place] + 1) % 97
        with torch.no_grad():
            before, after = (
                model(input_ids=ids, position_ids=batch["position_ids"], use_cache=False, **more).logits
                for ids in (batch["input_ids"], changed)
            )
        middle = slice(first, first + second)
        assert torch.equal(before[0, middle], after[0, middle])
        assert not torch.equal(before, after)


def test_packs_are_nearly_full_and_hold_every_conversation():
    examples = make_examples(2 * BATCH + 50, longest=400)
    packs = make_dataset(examples, True, 1024, 0)
    tokens = sum(len(example["input_ids"]) for example in examples)
    assert sum(map(len, packs["input_ids"])) == tokens
    assert max(map(len, packs["input_ids"])) <= 1024
    assert tokens / (1024 * len(packs)) >= 0.97
    whole = {tuple(example["input_ids"]) for example in examples}
    for pack in packs:
        starts = torch.tensor([0, *pack["seq_lengths"]]).cumsum(0).tolist()
        parts = {tuple(pack["input_ids"][a:b]) for a, b in pairwise(starts)}
        assert parts <= whole


def test_packing_mixes_only_neighbours():
    examples = make_examples(3 * BATCH)
    for index, example in enumerate(examples):
        example["input_ids"][0] = index // BATCH + 1
    packs = make_dataset(examples, True, 512, 0)
    parts = [ids[0] for ids in packs["input_ids"]]
    assert parts == sorted(parts)


def test_labels_never_cross_conversations():
    packs = make_dataset(make_examples(50), True, 128, 0)
    batch = PackCollator(0)([packs[index] for index in range(4)])
    assert (batch["labels"][batch["position_ids"] == 0] == IGNORED).all()


def test_nothing_predicts_the_first_token_of_a_packed_conversation():
    pack = {"input_ids": [5, 6, 7, 8, 9], "labels": [5, 6, 7, 8, 9], "seq_lengths": [2, 3]}
    batch = PackCollator(pad_token_id=0)([pack, {"input_ids": [4], "labels": [4], "seq_lengths": [1]}])
    assert batch["labels"].tolist() == [[IGNORED, 6, IGNORED, 8, 9], [IGNORED] * 5]
    assert batch["position_ids"].tolist() == [[0, 1, 0, 1, 2], [0] * 5]
