"""Comparison of two answers by algebra. Runs in a worker process: SymPy can compute for ever.

math-verify's normaliser and parser read the answers, with its removal of units off (it takes the variable of `2 t` for
a unit); what they mean is compared here, exactly. math-verify's own comparison rounds: it calls `1/2004!` and
`1/2006!`, or `2^{-99}` and `2^{-98}`, equal. It is asked only about unions and other sets that are not compared here.
"""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from latex2sympy2_extended.latex2sympy2 import NormalizationConfig, latex2sympy, normalize_latex
from latex2sympy2_extended.logic import And
from latex2sympy2_extended.sets import FiniteSet
from math_verify import verify
from math_verify.grader import should_treat_as_complex
from sympy import (
    Basic,
    Eq,
    Expr,
    Float,
    I,
    ImmutableMatrix,
    Integer,
    Interval,
    MatrixBase,
    MatrixExpr,
    Mod,
    Product,
    Rational,
    S,
    Set,
    Sum,
    Symbol,
    Tuple,
    UnevaluatedExpr,
    ceiling,
    floor,
    together,
)
from sympy import FiniteSet as PlainSet
from sympy.core.relational import Ge, Gt, Le, Lt, Ne, Relational

logging.disable(logging.ERROR)  # math-verify warns that its own time limits are off

_CONFIG = NormalizationConfig(basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none")
_SURE_DIGITS, _MOST_DIGITS = 20, 400
_DISCRETE = (Sum, Product, floor, ceiling, Mod)
_FLIPPED = {Gt: Lt, Ge: Le}
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
            if _holds(left, right):
                return "correct"
        read = read or right is not None
    return "wrong" if read else "unparseable"


def _holds(gold: Any, answer: Any) -> bool:
    """`equal`; what SymPy cannot compute about such answers is no equality."""
    try:
        return equal(gold, answer)
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return False


@lru_cache(maxsize=512)
def parsed(latex: str) -> Any:
    """What an answer means, with exact numbers; None where math-verify cannot read all of it."""
    text = normalize_latex(_IMAGINARY.sub(" i", latex), _CONFIG)
    try:
        tree = latex2sympy(
            text, is_real=not should_treat_as_complex(text), convert_degrees=False, normalization_config=None
        )
        return _exact(tree)
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return None


def equal(gold: Any, answer: Any) -> bool:
    """Whether two answers mean the same.

    An equation stands for its right side where the other answer is none; a list without brackets is compared with a
    tuple in its order, and with a set or a list without order.
    """
    if _is_chain(gold) and _is_chain(answer) and len(gold.args) == len(answer.args):
        return all(map(_same_relation, gold._unsorted_args, answer._unsorted_args))
    gold, answer = _unwrapped(gold, answer)
    if isinstance(gold, MatrixBase) or isinstance(answer, MatrixBase):
        return (
            isinstance(gold, MatrixBase)
            and isinstance(answer, MatrixBase)
            and gold.shape == answer.shape
            and all(map(equal, gold.flat(), answer.flat()))
        )
    if isinstance(gold, Relational | And) and isinstance(answer, Relational | And):
        return _same_relations(gold, answer)
    if isinstance(gold, Relational | And) or isinstance(answer, Relational | And):
        gold, answer = _solutions(gold), _solutions(answer)
    if _is_ordered(gold) or _is_ordered(answer):
        return _same_ordered(gold, answer)
    if isinstance(gold, Set) or isinstance(answer, Set):
        return _same_sets(_as_set(gold), _as_set(answer))
    if isinstance(gold, Expr) and isinstance(answer, Expr):
        return same_value(gold, answer)
    return _asked(gold, answer)


def same_value(gold: Expr, answer: Expr) -> bool:
    """Whether two expressions are equal: exactly for numbers, at drawn positive integers for their variables.

    A difference is zero when it is so to 400 digits, relative to its terms. The variables are drawn from the positive
    integers and from fractions, at which sums, products and roundings are not compared. Points at which an expression
    is not real or not defined tell nothing; where all are such, math-verify decides.
    """
    if gold == answer:
        return True
    if gold.has(S.NaN, S.ComplexInfinity, S.Infinity, S.NegativeInfinity) or answer.has(
        S.NaN, S.ComplexInfinity, S.Infinity, S.NegativeInfinity
    ):
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
        point = {name: Rational(draw.randint(low, high), scale) for name in names}
        left, right = gold.xreplace(point), answer.xreplace(point)
        if not _tells(left, gold) or not _tells(right, answer):
            continue
        zero = _is_zero(left - right)
        if zero is False:
            return False
        told += zero is True
    return told > 0 or _asked(gold, answer)


def _exact(tree: Any) -> Any:
    """The tree with decimals as fractions, one kind of symbol, `i` as the imaginary unit, and evaluated."""
    if isinstance(tree, MatrixBase):
        return ImmutableMatrix(tree.applyfunc(_exact))
    if isinstance(tree, Float):
        return Rational(str(tree))
    if isinstance(tree, Symbol):
        return I if tree.name == "i" else Symbol(tree.name, real=True)
    if isinstance(tree, UnevaluatedExpr):
        return _exact(tree.args[0])
    if not isinstance(tree, Basic) or not tree.args:
        return tree
    if isinstance(tree, And | FiniteSet) and hasattr(tree, "_unsorted_args"):
        return type(tree)(*map(_exact, tree._unsorted_args))
    parts = [_exact(part) for part in tree.args]
    if isinstance(tree, Relational):
        return tree.func(*parts, evaluate=False)
    try:
        built = tree.func(*parts)
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return tree
    return built.doit() if isinstance(built, MatrixExpr) else built


def _is_zero(difference: Any) -> bool | None:
    """Whether a number is zero; None for what has no value."""
    if difference.is_Rational:
        return bool(difference == 0)
    try:
        value = difference.evalf(_SURE_DIGITS, maxn=_MOST_DIGITS)
        parts = value.as_real_imag()
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return None
    if not all(part.is_Float or part.is_Rational for part in parts):
        return None
    # evalf raises its precision until 20 digits are sure; one that stays at 1 bit has found no digit in 400.
    return all(part == 0 or (part.is_Float and part._prec == 1) for part in parts)


def _tells(value: Any, expression: Expr) -> bool:
    """Whether an expression has a value at a point: real, unless it is about complex numbers."""
    if value.has(S.NaN, S.ComplexInfinity, S.Infinity, S.NegativeInfinity):
        return False
    if value.is_Rational or expression.has(I):
        return True
    try:
        return bool(value.evalf(15).is_real)
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return False


def _unwrapped(gold: Any, answer: Any) -> tuple[Any, Any]:
    """Both without `x =` where only one has it; of a chain of equations its first and last side are left."""
    gold, answer = _chained(gold), _chained(answer)
    if isinstance(answer, Eq) and not isinstance(gold, Relational | And):
        answer = answer.rhs if _is_name(answer.lhs) else answer
    elif isinstance(gold, Eq) and not isinstance(answer, Relational | And):
        gold = gold.rhs if _is_name(gold.lhs) else gold
    return gold, answer


def _chained(tree: Any) -> Any:
    if _is_chain(tree):
        return Eq(tree._unsorted_args[0].lhs, tree._unsorted_args[-1].rhs, evaluate=False)
    return tree


def _is_chain(tree: Any) -> bool:
    return isinstance(tree, And) and all(isinstance(part, Eq) for part in tree._unsorted_args)


def _is_name(tree: Any) -> bool:
    return isinstance(tree, Symbol | Tuple) or (isinstance(tree, Expr) and tree.is_Function and not tree.is_number)


def _same_relations(gold: Any, answer: Any) -> bool:
    if isinstance(gold, And) != isinstance(answer, And):
        return False
    if isinstance(gold, And):
        left, right = list(gold._unsorted_args), list(answer._unsorted_args)
        return len(left) == len(right) and (
            all(map(_same_relation, left, right)) or all(map(_same_relation, left, reversed(right)))
        )
    return _same_relation(gold, answer)


def _same_relation(gold: Any, answer: Any) -> bool:
    """Both sides equal, or their differences (over one denominator) in a fixed, for inequalities positive, ratio."""
    if not (isinstance(gold, Relational) and isinstance(answer, Relational)):
        return False
    (kind, *left), (other, *right) = _sides(gold), _sides(answer)
    if kind is not other:
        return False
    if all(map(equal, left, right)) or (kind in (Eq, Ne) and all(map(equal, left, reversed(right)))):
        return True
    if not all(isinstance(side, Expr) for side in (*left, *right)):
        return False
    first, second = left[0] - left[1], right[0] - right[1]
    if kind in (Eq, Ne):
        first, second = together(first).as_numer_denom()[0], together(second).as_numer_denom()[0]
    names = sorted(first.free_symbols, key=str)
    if not names or first.free_symbols != second.free_symbols:
        return False
    draw = random.Random(1)
    points = [{name: Integer(draw.randint(17, 97)) for name in names} for _ in range(4)]
    values = [(first.xreplace(point), second.xreplace(point)) for point in points]
    a, b = values[0]
    if _is_zero(a) is not False or _is_zero(b) is not False:
        return False
    ratio = (a / b).evalf(15)
    if kind not in (Eq, Ne) and not (ratio.is_real and ratio > 0):
        return False
    return all(_is_zero(a * y - b * x) is True for x, y in values[1:])


def _sides(relation: Any) -> tuple[Any, Any, Any]:
    flipped = _FLIPPED.get(relation.func)
    return (flipped, relation.rhs, relation.lhs) if flipped else (relation.func, relation.lhs, relation.rhs)


def _solutions(tree: Any) -> Any:
    """The set that an inequality in one variable describes."""
    if not isinstance(tree, Relational | And) or isinstance(tree, Eq):
        return tree
    try:
        return tree.as_set()
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return tree


def _is_ordered(tree: Any) -> bool:
    return isinstance(tree, Tuple | Interval)


def _same_ordered(gold: Any, answer: Any) -> bool:
    """Tuples and intervals; math-verify reads `(1,2)` as an open interval and `(2,1)` as a pair."""
    if isinstance(gold, Interval) and isinstance(answer, Interval):
        ends = (gold.left_open, gold.right_open) == (answer.left_open, answer.right_open)
        return ends and equal(gold.start, answer.start) and equal(gold.end, answer.end)
    left, right = _in_order(gold), _in_order(answer)
    return left is not None and right is not None and len(left) == len(right) and all(map(equal, left, right))


def _in_order(tree: Any) -> list[Any] | None:
    if isinstance(tree, Interval):
        return [tree.start, tree.end] if tree.is_open else None
    if isinstance(tree, FiniteSet):
        return list(tree._unsorted_args)
    return list(tree.args) if isinstance(tree, Tuple) else None


def _same_sets(gold: Any, answer: Any) -> bool:
    if gold.func is not answer.func and not (isinstance(gold, PlainSet) and isinstance(answer, PlainSet)):
        return _asked(gold, answer)
    left, rest = _members(gold), _members(answer)
    if len(left) == len(rest):
        for member in left:
            place = next((i for i, other in enumerate(rest) if equal(member, other)), None)
            if place is None:
                break
            del rest[place]
    return (not rest and bool(left)) or (not isinstance(gold, PlainSet) and _asked(gold, answer))


def _members(tree: Any) -> list[Any]:
    """Members of a finite set (those of a `±` beside others one by one), or parts of a union."""
    flat: list[Any] = []
    for part in tree.args:
        flat += part.args if isinstance(part, PlainSet) and isinstance(tree, PlainSet) else [part]
    return flat


def _as_set(tree: Any) -> Any:
    return tree if isinstance(tree, Set) else FiniteSet(tree)


def _asked(gold: Any, answer: Any) -> bool:
    # `raise_on_error`, because by default a MemoryError too becomes "not equal".
    try:
        return bool(verify(gold, answer, numeric_precision=50, timeout_seconds=None, raise_on_error=True))
    except (MemoryError, RecursionError):
        raise
    except Exception:
        return False
