"""Copying drills repeat what was said, in both scripts, and differ between splits."""

from quince.data.sources import load_demonstrations


def said(rows):
    return [[m["content"] for m in row["messages"] if m["role"] == "user"] for row in rows]


def test_the_assistant_repeats_the_user():
    rows = load_demonstrations("copying", size=50, turns=3)
    for row in rows:
        assert [m["role"] for m in row["messages"]] == ["user", "assistant"] * 3
        assert [m["content"] for m in row["messages"][::2]] == [m["content"] for m in row["messages"][1::2]]


def test_strings_hardly_repeat_and_use_both_scripts():
    strings = [text for row in said(load_demonstrations("copying", size=200)) for text in row]
    assert len(set(strings)) > 0.95 * len(strings)
    assert any("а" <= letter <= "я" for text in strings for letter in text)
    assert any("a" <= letter <= "z" for text in strings for letter in text)


def test_rows_depend_on_split_and_seed():
    assert said(load_demonstrations("copying", size=5)) == said(load_demonstrations("copying", size=5))
    assert said(load_demonstrations("copying", size=5)) != said(load_demonstrations("copying", size=5, seed=1))
