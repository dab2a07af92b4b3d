"""Which script and language a short text is of."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quince.data.function_calling.say.scripts import FUNCTION_WORDS, foreign_words, language_of, share


@pytest.mark.parametrize(
    ("text", "language", "verdict"),
    [
        ("За кой град?", "bg", "right"),
        ("Which city?", "bg", "wrong"),
        ("Кой град, please?", "bg", "wrong"),
        ("Какой город вы имеете в виду?", "bg", "wrong"),  # ы is no Bulgarian letter
        ("Температурата е 5 °C, 20 km/h.", "bg", "right"),
        ("OK", "bg", "unclear"),
        ("42", "bg", "unclear"),
        ("", "bg", "unclear"),
        ("Which city?", "en", "right"),
        ("Кой град?", "en", "wrong"),
        ("Which city, София?", "en", "wrong"),
        ("What is the weather in Köln?", "en", "right"),
        ("Welche Stadt?", "en", "wrong"),
        ("Welche Stadt?", "de", "right"),
        ("Which city?", "de", "wrong"),
        ("Quelle ville ?", "de", "wrong"),
        ("Plovdiv", "de", "unclear"),
        ("你好", "bg", "wrong"),
        ("你好", "en", "wrong"),
        ("Ποια πόλη;", "el", "right"),
        ("Hangi şehir?", "tr", "unclear"),  # no list for the language: no guess
        ("Кой град?", "tr", "wrong"),
    ],
)
def test_language_of(text, language, verdict):
    assert language_of(text, language) == verdict


def test_words_of_the_dialogue_are_nobodys_language():
    text = "Изпратих съобщение до Anna през sendMessage."
    assert foreign_words(text, "bg") == ["Anna", "sendMessage"]
    assert foreign_words(text, "bg", ["Напиши на ANNA!", "sendMessage"]) == []
    # A part of a known word is no known word.
    assert foreign_words("Това е the край", "bg", ["weather"]) == ["the"]
    assert foreign_words("Booked for Иван", "en", ["за Иван"]) == []


def test_share_counts_letters_only():
    assert share("Sofia 2024!", "Latin") == 1.0
    assert share("ab вг", "Cyrillic") == 0.5
    assert share("2024", "Cyrillic") == 0.0


def test_function_words_tell_languages_apart():
    for one, other in combinations(FUNCTION_WORDS, 2):
        assert not FUNCTION_WORDS[one] & FUNCTION_WORDS[other]


@given(st.text(), st.sampled_from(["bg", "en", "de", "el", "ja", "tr"]))
def test_any_text_gets_a_verdict(text, language):
    assert language_of(text, language) in ("right", "wrong", "unclear")
    assert isinstance(foreign_words(text, language), list)
