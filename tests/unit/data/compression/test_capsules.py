import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from quince.data.compression.budget import Budget, BudgetError
from quince.data.compression.capsules import (
    clause_spans,
    clean,
    longest_common_run,
    longest_prefix,
    normalise,
    scripts,
    sentence_spans,
    sentences,
    words,
)
from quince.data.compression.literals import Kept, Source, dates, missing, names, numbers, required
from quince.data.compression.selection import join, pieces_of, select, weighed

TEXT = st.text(
    st.one_of(
        st.sampled_from(list("ab AB.,;!?\n\t 12-5")),
        st.sampled_from(list("。！？你好،؟مرحاаЯ.éß\u0301\u200b\u200d\ufeff\ud800\x00😀ﬁ２")),
        st.characters(),
    ),
    max_size=120,
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("One. Two! Three? Four", ["One.", "Two!", "Three?", "Four"]),
        ("Dr. Smith paid 3.5 to J. Doe. He left.", ["Dr. Smith paid 3.5 to J. Doe.", "He left."]),
        ('He said "Go." Then he went.', ['He said "Go."', "Then he went."]),
        ("他走了。她来了！真的？", ["他走了。", "她来了！", "真的？"]),
        ("Он ушёл. Она пришла.", ["Он ушёл.", "Она пришла."]),
        ("هل جاء؟ نعم.", ["هل جاء؟", "نعم."]),
        ("यह है। ठीक।", ["यह है।", "ठीक।"]),
        ("A line\nAnother line", ["A line", "Another line"]),
        ("A wrapped\nline goes on.", ["A wrapped\nline goes on."]),
        ("A heading\n\nand text", ["A heading", "and text"]),
        (" \n\n ", []),
        ("", []),
    ],
)
def test_sentences_of_many_scripts(text, parts):
    assert sentences(text) == parts


@given(TEXT)
def test_sentences_hold_all_but_white_space(text):
    spans = sentence_spans(text)
    assert all(start < end for start, end in spans)
    assert all(before[1] <= after[0] for before, after in pairwise(spans))
    assert "".join("".join(text[a:b] for a, b in spans).split()) == "".join(text.split())


@given(TEXT)
def test_clean_text_is_encodable_and_stays_clean(text):
    once = clean(text)
    once.encode()
    assert clean(once) == once and clean(normalise(text)) == normalise(text)


def test_clean_drops_what_nobody_sees_and_keeps_joiners():
    assert clean("a\x00b\u200bc\ud800d\ue000e\r\nf\tg") == "abcde\nf\tg"
    assert clean("می\u200cخواهم") == "می\u200cخواهم"


def test_words_of_scripts_without_spaces_are_characters():
    assert words("Ab_c ２ 他走") == ["ab_c", "2", "他", "走"]


@given(st.text("ab", max_size=30), st.text("ab", max_size=30))
def test_longest_common_run_is_the_longest_common_substring(first, second):
    slow = max(
        (
            end - start
            for start in range(len(first))
            for end in range(start + 1, len(first) + 1)
            if first[start:end] in second
        ),
        default=0,
    )
    assert longest_common_run(first, second) == slow


@pytest.mark.parametrize(
    ("room", "found"),
    [(30, "alpha beta, gamma delta"), (20, "alpha beta"), (8, "alpha"), (3, "alp"), (0, "")],
)
def test_a_prefix_ends_at_a_clause_else_a_word_else_a_letter(room, found):
    assert longest_prefix("alpha beta, gamma delta", lambda text: len(text) <= room) == found


def test_a_prefix_does_not_part_a_letter_from_its_accent():
    assert longest_prefix("e\u0301e\u0301", lambda text: len(text) <= 3) == "e\u0301"


def test_clauses():
    text = "one, two; three - four: five 3,5"
    assert [text[a:b] for a, b in clause_spans(text)] == ["one,", "two;", "three -", "four:", "five 3,5"]


@pytest.mark.parametrize(
    ("text", "shares"),
    [("hello", {"LATIN": 1}), ("приветo", {"CYRILLIC": 6 / 7, "LATIN": 1 / 7}), ("漢字かな", {"CJK": 1}), ("12 !", {})],
)
def test_scripts(text, shares):
    assert scripts(text) == shares


def test_literals_of_a_text():
    text = "On 3 March 2024 (2024-03-03) Ann Lee paid 1,234.50 and ٣٥ to NASA. She left Rome."
    assert numbers(text) == ["3", "2024", "03", "1,234.50", "35"]
    assert dates(text) == ["3 March 2024", "2024-03-03"]
    assert names(text) == ["March", "Ann", "Lee", "NASA", "Rome"]


@pytest.mark.parametrize(
    ("text", "absent"),
    [
        ("Ann paid 1234.5 in Rome.", ()),
        ("paid 1.234,50", ()),
        ("on 2024-03-03", ()),
        ("on 3 March 2024", ()),
        ("on 4 March 2024", ("4", "4 March 2024")),
        ("Ann paid 77", ("77",)),
        ("Bob and Claudia paid", ("Claudia",)),
        ("nothing to check", ()),
    ],
)
def test_grounding_names_what_the_source_lacks(text, absent):
    source = "On 3 March 2024 Ann paid 1,234.50 in Rome. She met Bob."
    assert set(Source(source).grounding(text).absent) == set(absent)


def test_grounding_takes_inflected_names_for_the_same():
    assert Source("Иван Петров жил. Москва большая.").grounding("встретил Ивана Петрова в Москве").score == 1.0


@pytest.mark.parametrize(
    ("literal", "text", "held"),
    [
        ("5", "15 and 2.5 and 5.1", False),
        ("5", "in 5, or", True),
        ("Ann", "Annex", False),
        ("Ann", "Ann's", True),
        ("東京", "在東京的", True),
        ("Acme Corp", "Acme\n Corp", True),
        ("ﬁnal", "final", True),
        ("Ann", "ann", False),
    ],
)
def test_a_literal_stands_for_itself(literal, text, held):
    assert (missing(text, [Kept(literal)]) == []) == held


def test_what_is_required_is_what_the_source_has():
    found, unknown = required("Ann paid 12 and 13.", ["Ann", "Bob", re.compile(r"\d+"), names])
    assert [literal.text for literal in found] == ["Ann", "12", "13"] and unknown == ["Bob"]
    assert required("colour", ["colou"]) == ([Kept("colou", whole=False)], [])


COUNTERS = {"letters": len, "words": lambda text: len(text.split()), "bytes": lambda text: len(text.encode())}


@settings(max_examples=150, deadline=None)
@given(TEXT, TEXT, st.integers(0, 150), st.lists(st.sampled_from(["a", "12", "b A", "5", "你好"]), max_size=3))
def test_a_selection_fits_every_limit_and_holds_what_it_must(text, question, limit, wanted):
    text, question = clean(text), clean(question)
    limits = {"letters": limit, "words": limit // 2, "bytes": 2 * limit}
    budget = Budget(COUNTERS, limits, "Do.", question)
    literals, _ = required(text, wanted)
    try:
        chosen = select(budget, literals, weighed(pieces_of(text)))
    except BudgetError as error:
        bare = "\n".join(literal.text for literal in literals)
        assert not budget.fits(bare) or "set apart" in str(error)
        return
    assert budget.fits(chosen.text) and all(count <= limits[name] for name, count in budget.counts(chosen.text).items())
    assert missing(chosen.text, literals) == []
    assert chosen.cut or chosen.narrowed or set(sentences(chosen.text)) <= set(sentences(text)) or literals


def test_pieces_join_to_the_text_they_come_from():
    text = "One. Two.\nThree, four.\n他走了。她来了。"
    assert join(pieces_of(text)) == text


def test_a_budget_that_is_too_small_says_what_takes_how_much():
    budget = Budget({"words": COUNTERS["words"]}, {"words": 3}, "Read this.", "Who was it?")
    with pytest.raises(
        BudgetError, match=r"3 tokens of words .* takes 7: instruction 2; question 3; 1 literals .*'Ann Lee'"
    ):
        select(budget, [Kept("Ann Lee")], pieces_of("Ann Lee left."))
