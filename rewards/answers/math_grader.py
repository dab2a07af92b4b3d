"""Comparison of two answers by algebra, in a worker process because SymPy may not come to an end.

math-verify's normaliser and parser read the answers, without its removal of units (it takes the variable of `2 t` for
a unit). What they mean is compared here, exactly: math-verify's own comparison rounds, and calls `1/2004!` and
`1/2006!`, or `2^{-99}` and `2^{-98}`, equal. It decides only about unions and other sets that are not compared here.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import sympy as sp
from latex2sympy2_extended.latex2sympy2 import NormalizationConfig, latex2sympy, normalize_latex
from latex2sympy2_extended.logic import And
from latex2sympy2_extended.sets import FiniteSet
from math_verify import verify
from math_verify.grader import should_treat_as_complex
from sympy.core.relational import Relational

logging.disable(logging.ERROR)  # math-verify warns that its own time limits are off

_CONFIG = NormalizationConfig(basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none")
_SURE_DIGITS, _MOST_DIGITS = 20, 400
_DISCRETE = (sp.Sum, sp.Product, sp.floor, sp.ceiling, sp.Mod)
_UNDEFINED = (sp.S.NaN, sp.S.ComplexInfinity, sp.S.Infinity, sp.S.NegativeInfinity)
_FLIPPED = {sp.Gt: sp.Lt, sp.Ge: sp.Le}
_LAYOUT = re.compile(r"[\s{}]|\\(?:left|right)(?![A-Za-z])|(?<=\\)[dt](?=frac)")
_IMAGINARY = re.compile(r"(?<=[\d})])\s*i(?![A-Za-z])")


def grade(task: Mapping[str, Sequence[Sequence[str]]]) -> str:
    """Outcome of comparing gold and answer, given as `pairs` of spellings; one pair that is equal is enough."""
    read = False
    tried: set[tuple[str, str]] = set()
    for gold, answer in task["pairs"]:
        layout = _LAYOUT.sub("", gold), _LAYOUT.sub("", answer)
        if layout in tried:
            continue
        left, right = parsed(gold), parsed(answer)
        if left is not None and right is not None:
            tried.add(layout)
            if _attempt(partial(equal, left, right)):
                return "correct"
        read = read or right is not None
    return "wrong" if read else "unparseable"


def _attempt(compute: Callable[[], Any]) -> Any:
    """The result, or None where SymPy fails; running out of memory or stack is for the worker to report."""
    try:
        return compute()
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return None


@lru_cache(maxsize=512)
def parsed(latex: str) -> Any:
    """What an answer means, with exact numbers; None where math-verify cannot read all of it."""
    text = normalize_latex(_IMAGINARY.sub(" i", latex), _CONFIG)
    options: dict[str, Any] = {"convert_degrees": False, "normalization_config": None}
    return _attempt(lambda: _exact(latex2sympy(text, is_real=not should_treat_as_complex(text), **options)))


def equal(gold: Any, answer: Any) -> bool:
    """Whether two answers mean the same.

    An equation stands for its right side where the other answer is none; a list without brackets is compared with a
    tuple in its order, and with a set or a list without order.
    """
    if _is_chain(gold) and _is_chain(answer) and len(gold.args) == len(answer.args):
        return all(map(_same_relation, gold._unsorted_args, answer._unsorted_args))
    gold, answer = _unwrapped(gold, answer)

    def of(kind: Any) -> int:
        return isinstance(gold, kind) + isinstance(answer, kind)

    if of(sp.MatrixBase):
        return of(sp.MatrixBase) == 2 and gold.shape == answer.shape and all(map(equal, gold.flat(), answer.flat()))
    if of(Relational | And) == 2:
        return _same_relations(gold, answer)
    if of(Relational | And):
        gold, answer = _solutions(gold), _solutions(answer)
    if of(sp.Tuple | sp.Interval):
        return _same_ordered(gold, answer)
    if of(sp.Set):
        return _same_sets(*(tree if isinstance(tree, sp.Set) else FiniteSet(tree) for tree in (gold, answer)))
    return same_value(gold, answer) if of(sp.Expr) == 2 else _asked(gold, answer)


def same_value(gold: sp.Expr, answer: sp.Expr) -> bool:
    """Whether two expressions are equal: exactly for numbers, at random points if they have variables.

    A difference is zero when it is so to 400 digits, relative to its terms. Variables are positive integers and then
    fractions, at which sums, products and roundings are not compared. Points at which an expression is not real or not
    defined tell nothing; where all are such, math-verify decides.
    """
    if gold == answer:
        return True
    if gold.has(*_UNDEFINED) or answer.has(*_UNDEFINED):
        return False
    names = sorted(gold.free_symbols | answer.free_symbols, key=str)
    if not names:
        zero = _is_zero(gold - answer)
        return zero if zero is not None else _asked(gold, answer)
    if gold.is_polynomial(*names) and answer.is_polynomial(*names) and gold.free_symbols != answer.free_symbols:
        return (gold - answer).expand() == 0
    draw, told = random.Random(0), 0
    discrete = gold.has(*_DISCRETE) or answer.has(*_DISCRETE)
    for low, high, scale in ((17, 97, 1), (17, 97, 1), (100, 680, 97), (1, 96, 97), (1, 96, 97)):
        if discrete and scale > 1:
            break
        point = {name: sp.Rational(draw.randint(low, high), scale) for name in names}
        left, right = gold.xreplace(point), answer.xreplace(point)
        if _tells(left, gold) and _tells(right, answer):
            zero = _is_zero(left - right)
            if zero is False:
                return False
            told += zero is True
    return told > 0 or _asked(gold, answer)


def _exact(tree: Any) -> Any:
    """The tree with decimals as fractions, one kind of symbol, `i` as the imaginary unit, and evaluated."""
    if isinstance(tree, sp.MatrixBase):
        return sp.ImmutableMatrix(tree.applyfunc(_exact))
    if isinstance(tree, sp.Float):
        return sp.Rational(str(tree))
    if isinstance(tree, sp.Symbol):
        return sp.I if tree.name == "i" else sp.Symbol(tree.name, real=True)
    if isinstance(tree, sp.UnevaluatedExpr):
        return _exact(tree.args[0])
    if not isinstance(tree, sp.Basic) or not tree.args:
        return tree
    if isinstance(tree, And | FiniteSet) and hasattr(tree, "_unsorted_args"):
        return type(tree)(*map(_exact, tree._unsorted_args))
    parts = [_exact(part) for part in tree.args]
    if isinstance(tree, Relational):
        return tree.func(*parts, evaluate=False)
    built = _attempt(lambda: tree.func(*parts))
    if built is None:
        return tree
    return built.doit() if isinstance(built, sp.MatrixExpr) else built


def _is_zero(difference: Any) -> bool | None:
    """Whether a number is zero; None for what has no value."""
    if difference.is_Rational:
        return bool(difference == 0)
    parts = _attempt(lambda: difference.evalf(_SURE_DIGITS, maxn=_MOST_DIGITS).as_real_imag())
    if parts is None or not all(part.is_Float or part.is_Rational for part in parts):
        return None
    # evalf raises its precision until 20 digits are sure; one that stays at 1 bit has found no digit in 400.
    return all(part == 0 or (part.is_Float and part._prec == 1) for part in parts)


def _tells(value: Any, expression: sp.Expr) -> bool:
    """Whether an expression has a value at a point: real, unless it is about complex numbers."""
    if value.has(*_UNDEFINED):
        return False
    return bool(value.is_Rational or expression.has(sp.I) or _attempt(lambda: value.evalf(15).is_real))


def _unwrapped(gold: Any, answer: Any) -> tuple[Any, Any]:
    """Both without `x =` where only one has it; of a chain of equations its first and last side are left."""
    gold, answer = (
        sp.Eq(tree._unsorted_args[0].lhs, tree._unsorted_args[-1].rhs, evaluate=False) if _is_chain(tree) else tree
        for tree in (gold, answer)
    )
    if isinstance(answer, sp.Eq) and not isinstance(gold, Relational | And):
        answer = answer.rhs if _is_name(answer.lhs) else answer
    elif isinstance(gold, sp.Eq) and not isinstance(answer, Relational | And):
        gold = gold.rhs if _is_name(gold.lhs) else gold
    return gold, answer


def _is_chain(tree: Any) -> bool:
    return isinstance(tree, And) and all(isinstance(part, sp.Eq) for part in tree._unsorted_args)


def _is_name(tree: Any) -> bool:
    function = isinstance(tree, sp.Expr) and tree.is_Function and not tree.is_number
    return function or isinstance(tree, sp.Symbol | sp.Tuple)


def _same_relations(gold: Any, answer: Any) -> bool:
    if not (isinstance(gold, And) and isinstance(answer, And)):
        return _same_relation(gold, answer)
    left, right = gold._unsorted_args, answer._unsorted_args
    orders = (right, right[::-1])
    return len(left) == len(right) and any(all(map(_same_relation, left, order)) for order in orders)


def _same_relation(gold: Any, answer: Any) -> bool:
    """Both sides equal, or their differences (over one denominator) in a fixed, for inequalities positive, ratio."""
    if not (isinstance(gold, Relational) and isinstance(answer, Relational)):
        return False
    (kind, *left), (other, *right) = _sides(gold), _sides(answer)
    if kind is not other:
        return False
    either_way = kind in (sp.Eq, sp.Ne)
    if all(map(equal, left, right)) or (either_way and all(map(equal, left, reversed(right)))):
        return True
    if not all(isinstance(side, sp.Expr) for side in (*left, *right)):
        return False
    first, second = left[0] - left[1], right[0] - right[1]
    if either_way:
        first, second = (sp.together(difference).as_numer_denom()[0] for difference in (first, second))
    names = sorted(first.free_symbols, key=str)
    if not names or first.free_symbols != second.free_symbols:
        return False
    draw = random.Random(1)
    points = [{name: sp.Integer(draw.randint(17, 97)) for name in names} for _ in range(4)]
    (a, b), *values = [(first.xreplace(point), second.xreplace(point)) for point in points]
    if _is_zero(a) is not False or _is_zero(b) is not False:
        return False
    ratio = (a / b).evalf(15)
    return (either_way or bool(ratio.is_real and ratio > 0)) and all(_is_zero(a * y - b * x) is True for x, y in values)


def _sides(relation: Any) -> tuple[Any, Any, Any]:
    flipped = _FLIPPED.get(relation.func)
    return (flipped, relation.rhs, relation.lhs) if flipped else (relation.func, relation.lhs, relation.rhs)


def _solutions(tree: Any) -> Any:
    """The set that an inequality in one variable describes."""
    described = isinstance(tree, Relational | And) and not isinstance(tree, sp.Eq)
    solutions = _attempt(tree.as_set) if described else None
    return tree if solutions is None else solutions


def _same_ordered(gold: Any, answer: Any) -> bool:
    """Tuples and intervals; math-verify reads `(1,2)` as an open interval and `(2,1)` as a pair."""
    if isinstance(gold, sp.Interval) and isinstance(answer, sp.Interval):
        ends = (gold.left_open, gold.right_open) == (answer.left_open, answer.right_open)
        return ends and equal(gold.start, answer.start) and equal(gold.end, answer.end)
    left, right = _in_order(gold), _in_order(answer)
    return left is not None and right is not None and len(left) == len(right) and all(map(equal, left, right))


def _in_order(tree: Any) -> Sequence[Any] | None:
    if isinstance(tree, sp.Interval):
        return [tree.start, tree.end] if tree.is_open else None
    if isinstance(tree, FiniteSet):
        return tuple(tree._unsorted_args)
    return tuple(tree.args) if isinstance(tree, sp.Tuple) else None


def _same_sets(gold: Any, answer: Any) -> bool:
    finite = isinstance(gold, sp.FiniteSet)
    if gold.func is not answer.func and not (finite and isinstance(answer, sp.FiniteSet)):
        return _asked(gold, answer)
    left, rest = _members(gold), _members(answer)
    if len(left) == len(rest):
        for member in left:
            place = next((i for i, other in enumerate(rest) if equal(member, other)), None)
            if place is None:
                break
            del rest[place]
    return (not rest and bool(left)) or (not finite and _asked(gold, answer))


def _members(tree: Any) -> list[Any]:
    """Members of a finite set (those of a `±` beside others one by one), or parts of a union."""
    flat: list[Any] = []
    for part in tree.args:
        flat += part.args if isinstance(part, sp.FiniteSet) and isinstance(tree, sp.FiniteSet) else [part]
    return flat


def _asked(gold: Any, answer: Any) -> bool:
    # `raise_on_error`, because by default a MemoryError too becomes "not equal".
    options: dict[str, Any] = {"numeric_precision": 50, "timeout_seconds": None, "raise_on_error": True}
    return bool(_attempt(lambda: verify(gold, answer, **options)))
