"""Arithmetic expressions: a parser without ``eval``, and a normal form by which solutions are counted.

Grammar: ``sum = product (("+" | "-") product)*``, ``product = atom (("*" | "/") atom)*``, ``atom = number |
"-" atom | "(" sum ")"``. Values are exact; an expression that divides by zero has none.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import partial
from math import prod
from typing import Any, TypeAlias

MAX_LENGTH = 200  # characters; bounds the depth of the recursion as well
MAX_DIGITS = 6

# int, (operator, left, right), or ("-", operand)
Tree: TypeAlias = "int | tuple[str, Tree, Tree] | tuple[str, Tree]"
# A normal form without sign: a number, ("*", factors), ("/", (divisor,)) or ("+", signed terms); see `normalise`.
Node: TypeAlias = "int | tuple[str, tuple[Any, ...]]"

_TOKEN = re.compile(r"\s*([0-9]+|[-+*/()])")


class ExpressionError(ValueError):
    """The text is not an expression of the grammar."""


def parse(text: str) -> Tree:
    """Parse an expression.

    Raises:
        ExpressionError: If the text is too long or is not of the grammar.
    """
    if len(text) > MAX_LENGTH:
        raise ExpressionError(f"expression · found {len(text)} characters · at most {MAX_LENGTH}")
    tokens = _tokens(text.strip())
    tree, end = _sum(tokens, 0)
    if end != len(tokens):
        raise ExpressionError(f"expression · found {tokens[end]!r} at token {end + 1} · expected + - * / or the end")
    return tree


def value(tree: Tree) -> int | Fraction:
    """The number that an expression stands for.

    Raises:
        ExpressionError: If it divides by zero.
    """
    if isinstance(tree, int):
        return tree
    if len(tree) == 2:
        return -value(tree[1])
    left, right = value(tree[1]), value(tree[2])
    if tree[0] == "/":
        return _quotient(left, right)
    return left + right if tree[0] == "+" else left - right if tree[0] == "-" else left * right


def leaves(tree: Tree) -> list[int]:
    """Numbers of an expression from left to right."""
    return [tree] if isinstance(tree, int) else [leaf for part in tree[1:] for leaf in leaves(part)]


def canonical(text: str) -> str:
    """Normal form of an expression: two answers are the same solution when theirs are equal.

    Order and grouping of sums and of products do not matter, nor how minus signs are distributed: ``12 - (7 - 3)``,
    ``3 + 12 - 7`` and ``(12 - 7) + 3`` are one solution, as are ``8 / 4 / 2`` and ``8 / (2 * 4)``. Nothing is computed
    or multiplied out: ``2 * (3 + 4)`` and ``2 * 3 + 2 * 4`` are two.

    Raises:
        ExpressionError: As ``parse`` and ``value``.
    """
    sign, node = normalise(parse(text))
    return ("-" if sign < 0 else "") + show(node)


def normalise(tree: Tree) -> tuple[int, Node]:
    """Sign and unsigned normal form of an expression; the value is sign · value of the node."""
    if isinstance(tree, int):
        return 1, tree
    if len(tree) == 2:
        sign, node = normalise(tree[1])
        return -sign, node
    operator, (left_sign, left), (right_sign, right) = tree[0], normalise(tree[1]), normalise(tree[2])
    if operator in "*/":
        return left_sign * right_sign, multiply(left, right if operator == "*" else _inverse(right))
    return add(left_sign, left, right_sign if operator == "+" else -right_sign, right)


def multiply(left: Node, right: Node) -> Node:
    """Product of two unsigned nodes: one flat, sorted list of factors."""
    factors = [*_parts(left, "*"), *_parts(right, "*")]
    return ("*", tuple(sorted(factors, key=_order)))


def add(left_sign: int, left: Node, right_sign: int, right: Node) -> tuple[int, Node]:
    """Signed sum of two unsigned nodes: one flat, sorted list of signed terms.

    All signs are flipped when that makes the value positive, so that a − b and b − a are one node.
    """
    terms = [*_terms(left_sign, left), *_terms(right_sign, right)]
    total = sum(sign * node_value(node) for sign, node in terms)
    orientations = [(sign, _sorted_terms(terms, sign)) for sign in (1, -1)]
    if total == 0:  # either orientation will do, so long as it is always the same one
        orientations.sort(key=lambda item: [(-sign, _order(node)) for sign, node in item[1]])
    elif total < 0:
        orientations.reverse()
    sign, ordered = orientations[0]
    return sign, ("+", ordered)


def node_value(node: Node) -> int | Fraction:
    """The number that an unsigned node stands for."""
    if isinstance(node, int):
        return node
    if node[0] == "/":
        return _quotient(1, node_value(node[1][0]))
    if node[0] == "+":
        return sum(sign * node_value(term) for sign, term in node[1])
    return prod(map(node_value, node[1]))


def show(node: Node) -> str:
    """Text of a node: a sum as left-to-right terms, a sum within a product in parentheses."""
    if isinstance(node, int):
        return str(node)
    if node[0] == "/":
        return "1 / " + _factor(node[1][0])
    if node[0] == "*":
        above = " * ".join(_factor(part) for part in node[1] if not _is(part, "/"))
        return (above or "1") + "".join(" / " + _factor(part[1][0]) for part in node[1] if _is(part, "/"))
    text = "".join((" + " if sign > 0 else " - ") + show(term) for sign, term in node[1])
    return text.removeprefix(" + ")


def _quotient(left: int | Fraction, right: int | Fraction) -> int | Fraction:
    if right == 0:
        raise ExpressionError("expression · divides by zero")
    result = Fraction(left) / Fraction(right)
    return int(result) if result.denominator == 1 else result


def _inverse(node: Node) -> Node:
    """One over a node: of a product factor by factor, of an inverse what it inverts."""
    if isinstance(node, tuple) and node[0] == "*":
        return ("*", tuple(map(_inverse, node[1])))
    inverted: Node = node[1][0] if isinstance(node, tuple) and node[0] == "/" else ("/", (node,))
    return inverted


def _factor(node: Node) -> str:
    return f"({show(node)})" if _is(node, "+") else show(node)


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ExpressionError(
                f"expression · found {text[position]!r} at character {position + 1} · use numbers + - * / ( )"
            )
        if len(match[1]) > MAX_DIGITS:
            raise ExpressionError(f"expression · found {match[1][:9]}… · at most {MAX_DIGITS} digits")
        tokens.append(match[1])
        position = match.end()
    return tokens


def _sum(tokens: list[str], start: int, operators: str = "+-") -> tuple[Tree, int]:
    """A sum, or with `operators` `*/` a product, whose parts are read by the next rule of the grammar."""
    part = partial(_sum, operators="*/") if operators == "+-" else _atom
    tree, position = part(tokens, start)
    while position < len(tokens) and tokens[position] in operators:
        right, after = part(tokens, position + 1)
        tree, position = (tokens[position], tree, right), after
    return tree, position


def _atom(tokens: list[str], position: int) -> tuple[Tree, int]:
    found = tokens[position] if position < len(tokens) else "the end"
    if found.isdigit():
        return int(found), position + 1
    if found == "-":
        tree, position = _atom(tokens, position + 1)
        return ("-", tree), position
    if found != "(":
        raise ExpressionError(f"expression · found {found!r} at token {position + 1} · expected a number, - or (")
    tree, position = _sum(tokens, position + 1)
    if position >= len(tokens) or tokens[position] != ")":
        raise ExpressionError(f"expression · a parenthesis is open at token {position} · close it with )")
    return tree, position + 1


def _is(node: Node, kind: str) -> bool:
    return isinstance(node, tuple) and node[0] == kind


def _parts(node: Node, kind: str) -> tuple[Any, ...]:
    return node[1] if isinstance(node, tuple) and node[0] == kind else (node,)


def _terms(sign: int, node: Node) -> list[tuple[int, Node]]:
    return [(sign * inner, term) for inner, term in (_parts(node, "+") if _is(node, "+") else ((1, node),))]


def _sorted_terms(terms: list[tuple[int, Node]], flip: int) -> tuple[tuple[int, Node], ...]:
    """Positive terms first, then by text; flipped when ``flip`` is −1."""
    return tuple(sorted(((flip * sign, node) for sign, node in terms), key=lambda t: (-t[0], _order(t[1]))))


def _order(node: Node) -> tuple[int, str]:
    return (node, "") if isinstance(node, int) else (1 << 30, show(node))
