from __future__ import annotations

import numpy as np
import pytest
import torch
from quince.eval.compression.baselines import ClassifierError, keep_probabilities, self_information
from quince.eval.engines.transformers import TransformersEngine

WORDS = "the a pilot doctor has song about river castle and then".split()


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """A random token classifier with two labels, saved as LLMLingua-2's weights are."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertForTokenClassification, PreTrainedTokenizerFast

    def save(labels: int) -> str:
        folder = tmp_path_factory.mktemp("classifier")
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
        vocabulary = {token: index for index, token in enumerate([*special, *WORDS, "##s", "."])}
        model = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
        model.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
        names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
        PreTrainedTokenizerFast(tokenizer_object=model, **names).save_pretrained(folder)
        torch.manual_seed(0)
        sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
        config = BertConfig(vocab_size=len(vocabulary), num_labels=labels, max_position_embeddings=512, **sizes)
        BertForTokenClassification(config).save_pretrained(folder)
        return str(folder)

    return save


def test_llmlingua2_weighs_words_by_the_mean_of_their_tokens(classifier):
    from transformers import AutoModelForTokenClassification, AutoTokenizer

    folder = classifier(2)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForTokenClassification.from_pretrained(folder).eval()
    (weights,) = keep_probabilities(["the pilots has  songs."], folder)
    ids = tokenizer("the pilots has songs.", add_special_tokens=False)["input_ids"]
    assert len(ids) == 7  # the pilot ##s has song ##s .
    with torch.inference_mode():
        framed = torch.tensor([[tokenizer.cls_token_id, *ids, tokenizer.sep_token_id]])
        keep = model(framed).logits[0].softmax(-1)[1:-1, 1].tolist()
    expected = [keep[0], np.mean(keep[1:3]), keep[3], np.mean(keep[4:])]
    np.testing.assert_allclose(weights, expected, rtol=1e-5)


def test_llmlingua2_takes_long_and_empty_texts(classifier):
    words = WORDS * 150
    long, empty = keep_probabilities([" ".join(words), ""], classifier(2))
    assert long.shape == (len(words),) and empty.shape == (0,)
    assert ((long > 0) & (long < 1)).all()


def test_a_folder_without_the_classifier_is_named(classifier, tmp_path):
    with pytest.raises(ClassifierError, match="no such folder"):
        keep_probabilities(["a"], str(tmp_path / "none"))
    with pytest.raises(ClassifierError, match="5 labels"):
        keep_probabilities(["a"], classifier(5))


@pytest.fixture(scope="module")
def engine(toy_model):
    return TransformersEngine.load(toy_model, dtype="float32", device="cpu")


def test_the_surprise_of_words_adds_up_to_that_of_the_text(engine):
    text = "Count the pilots,  then   list clubs."
    (weights,) = self_information([text], engine)
    ids = engine.tokenizer(text, add_special_tokens=False)["input_ids"]
    start = engine.tokenizer.bos_token_id or engine.tokenizer.eos_token_id
    total = -sum(engine.score([[start]], [ids])[0])
    assert len(weights) == len(text.split())
    assert weights.sum() == pytest.approx(total, rel=1e-5)
    assert (weights > 0).all()


def test_long_texts_are_scored_in_pieces(engine):
    long = "Count the pilots then list clubs. " * 150
    whole, short, empty = self_information([long, "Count the pilots", ""], engine)
    assert len(whole) == len(long.split()) and (whole > 0).all()
    assert len(empty) == 0
    np.testing.assert_allclose(whole[:3], short, rtol=1e-4)
