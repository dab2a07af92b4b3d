from __future__ import annotations

import operator
from collections import Counter
from fractions import Fraction
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from quince.data.maths import countdown
from quince.data.maths.expressions import ExpressionError, Tree, canonical, leaves, parse, value
from quince.data.rows import RowError

TREES = st.recursive(
    st.integers(1, 20),
    lambda inner: st.tuples(st.sampled_from("+-*/"), inner, inner) | st.tuples(st.just("-"), inner),
    max_leaves=5,
)


def all_trees(numbers: tuple[int, ...]) -> list[Tree]:
    """Every expression that uses the numbers in this order."""
    if len(numbers) == 1:
        return [numbers[0]]
    return [
        (operator, left, right)
        for cut in range(1, len(numbers))
        for left in all_trees(numbers[:cut])
        for right in all_trees(numbers[cut:])
        for operator in "+-*"
    ]


def exact(tree: Tree) -> Fraction | None:
    """The value by Python's fractions; None where it divides by zero."""
    if isinstance(tree, int):
        return Fraction(tree)
    parts = [exact(part) for part in tree[1:]]
    if None in parts or (tree[0] == "/" and parts[1] == 0):
        return None
    if len(parts) == 1:
        return -parts[0]
    return {"+": operator.add, "-": operator.sub, "*": operator.mul, "/": operator.truediv}[tree[0]](*parts)


@given(TREES)
def test_values_are_exact(tree: Tree) -> None:
    expected = exact(tree)
    if expected is None:
        with pytest.raises(ExpressionError, match="divides by zero"):
            value(tree)
        return
    found = value(tree)
    assert found == expected and isinstance(found, int) == (expected.denominator == 1)


@given(TREES)
def test_both_styles_keep_value_numbers_and_normal_form(tree: Tree) -> None:
    texts = (countdown.flat(tree), countdown.nested(tree))
    for text in texts:
        parsed = parse(text)
        assert leaves(parsed) == leaves(tree)
        assert exact(parsed) == exact(tree)
    if exact(tree) is None:
        return
    assert canonical(texts[0]) == canonical(texts[1])


@given(TREES)
def test_swapping_commuting_sides_keeps_the_normal_form(tree: Tree) -> None:
    def mirrored(tree: Tree) -> Tree:
        if isinstance(tree, int):
            return tree
        parts = [mirrored(part) for part in tree[1:]]
        return (tree[0], *(parts if tree[0] in "-/" else reversed(parts)))

    if exact(tree) is None:
        return
    assert canonical(countdown.nested(tree)) == canonical(countdown.nested(mirrored(tree)))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("12 - (7 - 3)", "3 + 12 - 7", True),
        ("(12-7)+3", "12 - 7 + 3", True),
        ("2 * (3 * 4)", "4*3*2", True),
        ("(7 - 3) * (5 - 2)", "(3 - 7) * (2 - 5)", True),
        ("20 - (3 - 7) * 2", "20 + 2 * (7 - 3)", True),
        ("2 * (3 + 4)", "2 * 3 + 2 * 4", False),
        ("8 / 4 / 2", "8 / (2 * 4)", True),
        ("8 / (4 / 2)", "2 * 8 / 4", True),
        ("-(3 - 7) / 2", "(7 - 3) / 2", True),
        ("3 + -4", "3 - 4", True),
        ("8 / 4", "4 / 8", False),
        ("3 + 4", "3 * 4", False),
        ("5 - 3", "3 - 5", False),
        ("4 + 4", "8", False),
    ],
)
def test_normal_forms(one: str, other: str, same: bool) -> None:
    assert (canonical(one) == canonical(other)) is same


@pytest.mark.parametrize(
    "text",
    ["", "3 +", "+ 3", "-", "(3", "3)", "3 4", "3 /", "3 // 4", "3 ** 4", "__import__('os')", "1e9", "3.5", "²", "٣",
     "1" * 7, "1" * 201, "(" * 300],
)  # fmt: skip
def test_what_is_not_an_expression_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse(text)


@pytest.mark.parametrize(("numbers", "target"), [((3, 7, 12), 45), ((2, 5, 8), 11), ((3, 3, 4), 12), ((6, 4, 2), 8)])
def test_solutions_against_brute_force(numbers: tuple[int, ...], target: int) -> None:
    expected = {
        canonical(countdown.nested(tree))
        for length in range(1, len(numbers) + 1)
        for order in permutations(numbers, length)
        for tree in all_trees(order)
        if value(tree) == target
    }
    found = countdown.solutions(list(numbers), target)
    assert set(found) == expected
    assert len(found) == len(expected)
    assert all(value(parse(text)) == target and canonical(text) == text for text in found)


def test_rows_are_solvable_deterministic_and_disjoint() -> None:
    found = {split: countdown.rows(split, 150) for split in countdown.SPLITS}
    assert found["train"] == countdown.rows("train", 150)
    keys = {s: {(tuple(sorted(r["numbers"])), r["target"]) for r in rows} for s, rows in found.items()}
    assert not keys["train"] & keys["test"]
    assert not keys["train"] & keys["pretrain"]
    for row in found["train"]:
        assert row["solutions"] == len(countdown.solutions(row["numbers"], row["target"])) > 0
        assert 1 <= row["target"] <= 100
        assert max(row["numbers"]) <= 20


def test_demonstrations_make_the_mistakes_they_should() -> None:
    made = countdown.demonstrations("pretrain", 2000, error_rate=0.2)
    wrong = 0
    for row in made:
        question, _, target = row["messages"][0]["content"].partition(" -> ")
        answer = parse(row["messages"][1]["content"])
        numbers = Counter(map(int, question.split()[1:]))
        right = value(answer) == int(target)
        wrong += not right
        assert not right or Counter(leaves(answer)) <= numbers
    assert wrong / len(made) == pytest.approx(0.2, abs=0.03)


def test_errors_name_the_option() -> None:
    with pytest.raises(RowError, match="split · found 'dev'"):
        countdown.rows("dev", 1)
    with pytest.raises(ValueError, match="positive target"):
        countdown.solutions([1, 2], 0)
