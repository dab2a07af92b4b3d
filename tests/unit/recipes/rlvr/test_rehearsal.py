"""The rehearsal store, its order, and its loss."""

import numpy as np
import pytest
import torch
from quince.recipes.methods.divergences import ForwardKL, JensenShannon
from quince.recipes.rlvr.store import (
    MicroBatch,
    Origin,
    Rehearsal,
    RehearsalOrder,
    RehearsalRow,
    RehearsalStore,
    StoreError,
    write_store,
)

ORIGIN = Origin("tiny", "model-a", "tokenizer-a", "float32", {"temperature": 1.0})


def make_rows(count: int, seed: int = 0) -> list[RehearsalRow]:
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(count):
        prompt, completion = rng.integers(2, 6), rng.integers(1, 5)
        rows.append(
            RehearsalRow(
                rng.integers(1, 9, prompt).astype(np.int32),
                rng.integers(1, 9, completion).astype(np.int32),
                -rng.random(completion).astype(np.float32),
            )
        )
    return rows


@pytest.fixture
def store(tmp_path) -> RehearsalStore:
    write_store(tmp_path, make_rows(11), [f"row-{i}" for i in range(11)], ORIGIN)
    return RehearsalStore(tmp_path)


def test_rows_come_back_as_written(store):
    assert len(store) == 11
    for written, read in zip(make_rows(11), (store[i] for i in range(11)), strict=True):
        np.testing.assert_array_equal(written.prompt_ids, read.prompt_ids)
        np.testing.assert_array_equal(written.completion_ids, read.completion_ids)
        np.testing.assert_array_equal(written.log_probs, read.log_probs)


def test_a_store_of_another_model_is_refused_by_name(store):
    store.require(Origin("elsewhere", "model-a", "tokenizer-a", "float32", {}))
    with pytest.raises(StoreError, match=r"model_fingerprint: model-a \(store\) ≠ model-b"):
        store.require(Origin("tiny", "model-b", "tokenizer-a", "float32", {}))
    with pytest.raises(StoreError, match="dtype"):
        store.require(Origin("tiny", "model-a", "tokenizer-a", "bfloat16", {}))


def test_an_unfinished_or_damaged_store_is_refused(tmp_path):
    with pytest.raises(StoreError, match="quince split"):
        RehearsalStore(tmp_path)
    write_store(tmp_path, make_rows(2), ["a", "b"], ORIGIN)
    file = tmp_path / "store.safetensors"
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.raises(StoreError, match="quince split"):
        RehearsalStore(tmp_path)


def test_a_sample_takes_4_bytes_a_prompt_token_and_8_a_completion_token(tmp_path):
    row = RehearsalRow(np.ones(1500, np.int32), np.ones(800, np.int32), np.zeros(800, np.float32))
    write_store(tmp_path, [row] * 20, [str(i) for i in range(20)], ORIGIN)
    size = (tmp_path / "store.safetensors").stat().st_size / 20
    padded_int64_record = (16_000 + 4_096) * 8 * 3 + 4_096 * (8 + 2 * 4)
    assert size < 1500 * 4 + 800 * 8 + 100
    assert size <= padded_int64_record / 20


def test_each_epoch_is_a_fresh_permutation_and_any_place_can_be_read():
    order = RehearsalOrder(rows=7, seed=3)
    sequence = order.take(0, 21)
    epochs = sequence.reshape(3, 7)
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs.tolist())
    assert len({tuple(epoch) for epoch in epochs.tolist()}) == 3
    for start in range(15):
        np.testing.assert_array_equal(order.take(start, 6), sequence[start : start + 6])
    assert not np.array_equal(RehearsalOrder(7, 4).take(0, 7), sequence[:7])


@pytest.mark.parametrize("aggregate", ["token_mean", "sequence_mean", "sequence_sum"])
def test_the_loss_is_the_same_for_any_cut_of_the_step(store, aggregate):
    rehearsal = Rehearsal(store, ForwardKL(weight=0.3, aggregate=aggregate), pad_token_id=0, batch_size=8)
    logits = torch.randn(9, generator=torch.Generator().manual_seed(0))

    def of(part: MicroBatch) -> torch.Tensor:
        batch = rehearsal.batch(part)
        tokens = batch.input_ids[:, -batch.mask.shape[1] :]
        return rehearsal.loss(batch, logits.log_softmax(0)[tokens])[0]

    whole = of(MicroBatch(5, 0, 1, 0, 1))
    halves = sum(of(MicroBatch(5, micro, 2, 0, 1)) for micro in range(2))
    ranks = sum(of(MicroBatch(5, micro, 2, rank, 2)) for micro in range(2) for rank in range(2))
    torch.testing.assert_close(whole, halves)
    torch.testing.assert_close(whole, ranks)


def test_no_drift_no_loss_and_lost_acts_on_one_side(store):
    for tokens in ("all", "lost"):
        rehearsal = Rehearsal(store, ForwardKL(weight=1.0, tokens=tokens), 0, batch_size=4)
        batch = rehearsal.batch(MicroBatch(0, 0, 1, 0, 1))
        policy = batch.reference.clone().requires_grad_()
        loss, log_ratio = rehearsal.loss(batch, policy)
        assert loss.item() == 0
        assert log_ratio.abs().max() == 0
        raised, _ = rehearsal.loss(batch, batch.reference + 0.5)
        assert (raised.item() > 0) == (tokens == "all")
        assert rehearsal.loss(batch, batch.reference - 0.5)[0].item() > 0


@pytest.mark.parametrize("estimator", ["sampled", "top_k", "full"])
def test_every_estimator_is_zero_at_the_start_and_agrees_on_its_sign(store, tmp_path, estimator):
    term = JensenShannon(weight=1.0, estimator=estimator, top_k=4 if estimator == "top_k" else None)
    rehearsal = Rehearsal(store, term, 0, batch_size=11)
    table = torch.randn(9, 9, generator=torch.Generator().manual_seed(0)).log_softmax(-1)
    moved = torch.randn(9, 9, generator=torch.Generator().manual_seed(1)).log_softmax(-1)

    def model(rows: torch.Tensor):
        def log_probs(ids, mask, tokens):
            context = rows[ids[:, -tokens - 1 : -1]]
            if rehearsal.whole_distribution:
                return context
            return context.gather(-1, ids[:, -tokens:, None]).squeeze(-1)

        return log_probs

    rehearsal.measure_reference(tmp_path / "reference.safetensors", model(table), batch_size=4)
    batch = rehearsal.batch(MicroBatch(0, 0, 1, 0, 1))
    here, log_ratio = rehearsal.loss(batch, model(table)(batch.input_ids, None, batch.mask.shape[1]))
    assert here.item() == pytest.approx(0, abs=1e-6)
    assert (log_ratio * batch.mask).abs().max() < 1e-6
    assert rehearsal.loss(batch, model(moved)(batch.input_ids, None, batch.mask.shape[1]))[0].item() > 1e-3


def test_an_empty_store_is_refused(tmp_path):
    write_store(tmp_path, [], [], ORIGIN)
    with pytest.raises(StoreError, match=r"0 rows.*split\.threshold"):
        Rehearsal(RehearsalStore(tmp_path), ForwardKL(weight=1.0), 0)
