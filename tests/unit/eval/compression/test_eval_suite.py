from __future__ import annotations

import json
import random
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from quince.data.compression.passages import ASKABLE, DISTRACTORS, ENTITIES, VALUES, Fact, facts_of, note_of
from quince.eval.compression import baselines, measures
from quince.eval.compression.reading_suite import (
    Written,
    answer_sentences,
    contexts,
    grounding,
    measure,
    problems,
    read,
    similarity,
    swapped,
)
from quince.eval.compression.results import (
    CAPSULE,
    FIRST,
    FULL,
    LAST,
    NONE,
    ORACLE,
    RANDOM_FACTS,
    RANDOM_SENTENCES,
    SELF_INFORMATION,
    SWAPPED,
)
from quince.eval.measure.evaluate import EvaluationError


class WordReader:
    """Finds the note or the sentence of a fact; a word is a token."""

    def __init__(self, name: str = "A", knows: str = "") -> None:
        self.name, self.knows = name, knows

    def count(self, text: str) -> int:
        return len(text.split())

    def cut(self, text: str, tokens: int) -> str:
        return " ".join(text.split()[:tokens])

    def log_probs(self, contexts, questions, answers):
        raise NotImplementedError

    def answers(self, contexts, questions):
        return [self._answer(context, question) for context, question in zip(contexts, questions, strict=True)]

    def _answer(self, context: str, question: str) -> str:
        wanted = set(question.rstrip("?").split())
        for part in context.replace(".", ";").split(";"):
            if wanted <= set(part.split()):
                return next((word for word in part.split() if word in VALUES), "missing")
        return self.knows or "missing"


def new_row(number: int) -> dict:
    """Three facts that are asked for, three that are not, in sentences."""
    rng = random.Random(number)
    kinds = rng.choices(ASKABLE, k=3) + rng.choices(DISTRACTORS, k=3)
    facts = [Fact(*parts) for parts in zip(rng.sample(ENTITIES, 6), kinds, rng.sample(VALUES, 6), strict=True)]
    rng.shuffle(facts)
    asked = [{"question": f"{f.entity} {f.attribute}?", "answer": f.value} for f in facts if f.askable]
    return {
        "id": str(number),
        "task": "compression",
        "passage": "Hi all. "
        + " ".join(f"Here the {f.entity} has a {f.attribute} about the {f.value}." for f in facts),
        "budget": 12,
        "questions": json.dumps(asked),
        "facts": json.dumps([asdict(fact) | {"askable": fact.askable} for fact in facts]),
    }


ROWS = [new_row(number) for number in range(40)]
ORACLES = [note_of([fact for fact in facts_of(row) if fact.askable]) for row in ROWS]


def written(texts, tokens=9):
    return [Written(text, 60, tokens, True) for text in texts]


def measured(texts, **others):
    made = {FIRST: baselines.first_tokens, LAST: baselines.last_tokens, RANDOM_SENTENCES: baselines.random_sentences}
    return measure(ROWS, written(texts), [WordReader(), WordReader("B")], made, **others)


def test_the_reader_of_these_tests_reads():
    assert read(ROWS, [row["passage"] for row in ROWS], WordReader()) == [1.0] * len(ROWS)
    assert read(ROWS, ORACLES, WordReader()) == [1.0] * len(ROWS)
    assert read(ROWS, [""] * len(ROWS), WordReader()) == [0.0] * len(ROWS)


def test_every_source_is_read_by_every_reader():
    found = measured(ORACLES)
    for source in (FULL, CAPSULE, ORACLE):
        assert measures.accuracy(found, source, "A").estimate == measures.accuracy(found, source, "B").estimate == 1.0
    assert measures.accuracy(found, NONE, "A").estimate == 0.0
    assert 0.3 < measures.accuracy(found, RANDOM_FACTS, "A").estimate < 0.8  # a good half of the facts fit
    assert measures.accuracy(found, FIRST, "A").estimate < 0.5
    assert measures.transfer(found, "B").estimate == 1.0
    assert measures.grounding(found).estimate == 1.0
    assert found.sources[:2] == [FULL, CAPSULE]


def test_a_swapped_capsule_answers_nothing_unless_it_leaks():
    assert measures.leak(measured(ORACLES), "A").estimate < 0.05
    # A capsule that holds the answers to every question of every passage needs no passage.
    answers = {q["question"]: q["answer"] for row in ROWS for q in json.loads(row["questions"])}
    cheat = "; ".join(f"{question.rstrip('?')} {answer}" for question, answer in answers.items())
    asked = [row | {"budget": 1000} for row in ROWS]
    found = measure(asked, written([cheat] * len(ROWS)), [WordReader()], {})
    assert measures.leak(found, "A").low > 0.1
    assert measures.accuracy(found, SWAPPED, "A") == measures.accuracy(found, CAPSULE, "A")


def test_what_a_reader_knows_without_a_passage_is_no_leak():
    value = json.loads(ROWS[0]["questions"])[0]["answer"]
    found = measure(ROWS, written([""] * len(ROWS)), [WordReader(knows=value)], {})
    assert measures.accuracy(found, NONE, "A").estimate > 0
    assert measures.leak(found, "A").estimate == 0.0


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=12))
def test_a_swapped_passage_is_another_passage(passages):
    partners = swapped(passages)
    if len(set(passages)) == 1:
        assert partners is None
    else:
        assert all(passages[partner] != own for partner, own in zip(partners, passages, strict=True))


def test_without_another_passage_nothing_is_swapped_and_it_is_said():
    one = [ROWS[0], ROWS[0] | {"id": "again"}]
    found = measure(one, written(ORACLES[:1] * 2), [WordReader()], {})
    assert SWAPPED not in found.right and measures.leak(found, "A") is None
    assert "no capsule could be swapped" in found.notes[0]


def test_capsules_are_cut_before_they_are_read_and_counted_before_they_are_cut():
    long = ["filler " * 12 + oracle for oracle in ORACLES]
    found = measured(long)
    assert measures.over_budget(found).estimate == 1.0
    assert found.tokens[CAPSULE]["A"] == found.budgets
    assert measures.accuracy(found, CAPSULE, "A").estimate == 0.0
    assert next(p.answers[0].detail for p in problems(ROWS, written(long), found)) == "9 tokens over the budget"


def test_floor_and_ceiling_stay_within_the_budget():
    short = [row | {"budget": 7} for row in ROWS]
    reader = WordReader()
    found = contexts(short, ORACLES, reader)
    assert all(reader.count(text) <= 7 for name in (CAPSULE, ORACLE, RANDOM_FACTS) for text in found[name])
    assert all(reader.count(text) == 6 for text in found[ORACLE])  # two whole notes


def test_random_facts_come_from_the_seed():
    reader = WordReader()
    first, again, other = (contexts(ROWS, ORACLES, reader, seed)[RANDOM_FACTS] for seed in (0, 0, 1))
    assert first == again != other


def test_without_facts_the_oracle_is_the_sentences_that_hold_answers():
    row = {
        "id": "x",
        "passage": "It rained. The mayor is Ann Lee. Trains run hourly.",
        "budget": 5,
        "questions": json.dumps([{"question": "Who is mayor?", "answer": "ann lee"}]),
    }
    assert answer_sentences(row, WordReader()) == "The mayor is Ann Lee."
    found = contexts([row, row | {"passage": "Other."}], ["a", "b"], WordReader())
    assert RANDOM_FACTS not in found


def test_baselines_have_the_tokens_of_the_capsule():
    reader = WordReader()
    passages = [row["passage"] for row in ROWS]
    wanted = [random.Random(index).randint(0, 14) for index in range(len(ROWS))]
    weights = [np.arange(len(passage.split())) for passage in passages]
    for texts in (
        baselines.first_tokens(passages, wanted, reader),
        baselines.last_tokens(passages, wanted, reader),
        baselines.random_sentences(passages, wanted, reader),
        baselines.heaviest_words(passages, wanted, reader, weights),
    ):
        assert [reader.count(text) for text in texts] == wanted
    assert passages[5].endswith(baselines.last_tokens(passages, wanted, reader)[5])


def test_the_heaviest_words_are_kept_in_their_order():
    texts = baselines.heaviest_words(["a bb c dd"], [2], WordReader(), [np.array([1.0, 5.0, 2.0, 4.0])])
    assert texts == ["bb dd"]

    class LetterReader(WordReader):
        def count(self, text: str) -> int:
            return len(text)

    # The heaviest word does not fit, so lighter ones take its place.
    assert baselines.heaviest_words(["long a b"], [3], LetterReader(), [np.array([9.0, 2.0, 1.0])]) == ["a b"]


def test_word_weights_belong_to_the_word_of_the_last_character():
    # tokens: "ab", " c", "d", "  "
    weights = baselines.word_weights(
        "ab cd  e", [(0, 2), (2, 4), (4, 5), (5, 7)], np.array([1.0, 2.0, 3.0, 9.0]), np.sum
    )
    assert weights.tolist() == [1.0, 5.0, 9.0]


def test_scripts_without_spaces_are_cut_by_letters():
    class LetterReader(WordReader):
        def count(self, text: str) -> int:
            return len(text)

    text = "日本語の文章には単語の間に空白がありませんのでとても長い文字の列になります。 abc"
    assert len(baselines.word_spans(text)) == len(text.split()[0]) + 1
    weights = [np.arange(len(baselines.word_spans(text)))]
    assert baselines.heaviest_words([text], [6], LetterReader(), weights) == ["す。 abc"]
    assert baselines.last_tokens([text], [5], LetterReader()) == ["。 abc"]
    # A letter inside of a token has the token's weight.
    assert baselines.word_weights("あ" * 30, [(0, 29), (29, 30)], np.array([3.0, 4.0]), np.sum).tolist() == [
        3.0
    ] * 29 + [4.0]


def test_random_sentences_come_from_the_seed_and_keep_the_order():
    reader = WordReader()
    text = ["One two. Three four. Five six. Seven eight."]
    assert baselines.random_sentences(text, [8], reader) == text
    found = {baselines.random_sentences(text, [4], reader, seed)[0] for seed in range(20)}
    assert "One two. Three four." in found and len(found) > 3
    assert baselines.random_sentences(text, [4], reader, 1) == baselines.random_sentences(text, [4], reader, 1)


def test_a_made_up_note_is_not_grounded():
    assert grounding(ORACLES[0], ROWS[0]) == 1.0
    assert grounding(f"{ORACLES[0]}; pilot song nowhere", ROWS[0]) == pytest.approx(0.75)
    assert grounding("  ", ROWS[0]) is None


def test_similarity_is_the_cosine_and_nothing_is_like_nothing():
    class Letters:
        def embed(self, texts):
            return np.array([[text.count("a"), text.count("b")] for text in texts], dtype=np.float32)

    assert similarity(["a", "ab", "aa", ""], ["aa", "a", "b", "a"], Letters()) == pytest.approx([1, 0.5**0.5, 0, 0])
    found = measure(ROWS, written(ORACLES), [WordReader()], {}, encoder=Letters())
    assert len(found.similarity) == len(ROWS)
    longer = [f"{oracle} b b b b b b b b b b b b" for oracle in ORACLES]
    read_short = [" ".join(text.split()[:12]) for text in longer]
    assert measure(ROWS, written(longer), [WordReader()], {}, encoder=Letters()).similarity == similarity(
        read_short, [row["passage"] for row in ROWS], Letters()
    )
    assert measures.similarity(measure(ROWS, written(ORACLES), [WordReader()], {})) is None


def test_rows_without_gold_answers_are_refused():
    with pytest.raises(EvaluationError, match="need gold answers"):
        read([ROWS[0] | {"questions": '[{"question": "?"}]'}], [""], WordReader())


def test_results_know_their_sources_in_order():
    found = measure(ROWS, written(ORACLES), [WordReader()], {SELF_INFORMATION: baselines.first_tokens})
    assert found.sources == [FULL, CAPSULE, ORACLE, RANDOM_FACTS, SELF_INFORMATION, SWAPPED, NONE]
