r"""Final answers as text: one spelling for what means the same, and what the text alone decides.

Spellings that differ in layout only (blanks, sizes of fractions and brackets, fonts, the brackets of a matrix,
thousands separators, how a base, a degree or an exponent is braced) have one normal form. `math_grader` compares the
rest.

Judgement calls. Accepted: `(1,2)` for the list `1,2`; `x=5` for `5`; a number without its unit, or with one where gold
has none. Rejected: a rounded value; `70` for `70\%` unless the question asks for a percentage; a number without its
base; number words.
"""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import accumulate

_TOKEN = re.compile(
    r"\\begin\s*\{([a-z]+)\}(?:\s*\{[lcr|\s]*\})?|\\end\s*\{([a-z]+)\}|\\\\(?:\[[^\]]*\])?|\\[A-Za-z]+|\\.|\s+|.",
    re.DOTALL,
)
_LAYOUT = frozenset(
    r"\left \right \big \Big \bigg \Bigg \bigl \bigr \Bigl \Bigr \displaystyle \textstyle \limits \quad \qquad"
    r" \, \; \: \! \> $ ~ \( \) \[ \] \hfill \nonumber".split()
) | {"\\ ", "\\\n"}
_FONTS = frozenset(
    r"\text \textbf \textrm \textit \mathrm \mathbf \mathit \mbox \hbox \rm \bf \textnormal \operatorname".split()
)
_SAME = dict(
    pair.split()
    for pair in r"""
    \dfrac \frac; \tfrac \frac; \cfrac \frac; \leq \le; \leqslant \le; ≤ \le; \geq \ge; \geqslant \ge; ≥ \ge; \neq \ne
    ≠ \ne; \lt <; \gt >; \lbrace \{; \rbrace \}; \lbrack [; \rbrack ]; \varnothing \emptyset; ∅ \emptyset; % \%
    \to \rightarrow; \colon :; \mid |; \vert |; \lvert |; \rvert |; − -; – -; × \times; · \cdot; ÷ \div; π \pi
    ∞ \infty; ∪ \cup; ∩ \cap; ± \pm; ² ^{2}; ³ ^{3}; ° ^{\circ}; \degree ^{\circ}; \degrees ^{\circ}
    """.strip()
    .replace("\n", ";")
    .split(";")
)
_DEGREE = re.compile(r"\^\{\{\\circ\}\}")
_PERCENT = re.compile(r"(?:\s|~|\\[ ,;])*(?:\\?%|(?:\\text\s*\{)?\s*(?:percent|pct)\s*\}?)$", re.IGNORECASE)
_DELIMITERS = re.compile(r"^(?:\s|\$|\\\(|\\\[|\\displaystyle(?![A-Za-z]))+|(?:\s|(?<!\\)\$|\\\)|\\\]|(?<!\.)\.)+$")
_MATRICES = frozenset({"pmatrix", "bmatrix", "matrix", "array", "smallmatrix"})
_MATRIX = re.compile(r"[(\[]?(\\begin\{MATRIX\}(?:(?!\\begin).)*?\\end\{MATRIX\})[)\]]?", re.DOTALL)
_SPLIT_DIGITS = re.compile(r"(?<=\d)(?:\{,\}|\\[,!;: ]|,\\!|\\,|~)(?=\d{3}(?!\d))")
_THOUSANDS = re.compile(r"([+-]?)(\d{1,3}(?:[, ]\d{3})+)((?:\.\d+)?)")
_DECIMAL = re.compile(r"[+-]?(?:\d{1,400}(?:\.\d{0,400})?|\.\d{1,400})")
_MIXED = re.compile(r"([-+]?)(\d+) (\d+)/(\d+)")
_SCIENTIFIC = re.compile(r"(?<![A-Za-z\d.}])(\d+(?:\.\d+)?)[eE]([+-]?\d{1,3})(?![\d.A-Za-z])")
_BASE = re.compile(r"\(?(-?[\dA-F]*\d[\dA-F]*)\)?_\{?(\d+)\}?")
_WORD_BASES = {name: str(base) for base, name in enumerate("two three four five six seven eight nine ten".split(), 2)}
_PREFIX = re.compile(r"(?:\\?[A-Za-z]+(?:_(?:\{\w+\}|\w))?(?:\([a-z](?:,[a-z])*\))?)(?:=|\\in(?![A-Za-z]))")
_RELATION = re.compile(r"=|<|>|\\(?:[lg]e|ne|in|equiv|approx)(?![A-Za-z])")
_BESIDE = re.compile(r"(=[^,;=\n]*?[^,;\s])[ \t]*(?:\\q?quad(?![A-Za-z])|\n)\s*(?=[^=\n]+=)")
_BRACKETS = frozenset(("()", "[]", "(]", "[)"))
_WORD = re.compile(r"[A-Za-z]{4,}")
_FUNCTIONS = frozenset("arcsin arccos arctan sinh cosh tanh sqrt frac".split())


def normal(answer: str) -> str:
    """The one spelling of an answer; see the module."""
    text = _joined(_spelled(_SPLIT_DIGITS.sub("", answer.strip().replace(",\\!", "{,}"))))
    text = _DEGREE.sub(r"^{\\circ}", text)
    text = _MATRIX.sub(r"\1", text).replace("{MATRIX}", "{pmatrix}")
    while (inner := (text[1:-1] if _enclosed(text) else text).strip().removesuffix(".")) != text:
        text = inner
    text = re.sub(r"(?<![\d.])\.(?=\d)", "0.", text)
    text = re.sub(r"(^|[(\[,{=])\+", r"\1", re.sub(r"^\\approx ?", "", text))
    text = re.sub(r"(?<=\d)\\(?:cdot|times) ?(?=\\(?:sqrt|pi)(?![A-Za-z])|[A-Za-z])", "", text)
    if _THOUSANDS.fullmatch(text):
        text = re.sub("[, ]", "", text)
    text = _MIXED.sub(r"\1\2\\frac{\3}{\4}", text) if _MIXED.fullmatch(text) else text
    text = _SCIENTIFIC.sub(lambda m: rf"{m[1]}\times10^{{{int(m[2])}}}", text)
    based = _BASE.fullmatch(re.sub(r"_\{?(\w+)\}?$", lambda m: "_" + _WORD_BASES.get(m[1], m[1]), text))
    if based:
        return f"{based[1]}_{{{based[2]}}}"
    return text[1] if re.fullmatch(r"\([A-Z]\)", text) else text


def settled(gold: str, answer: str) -> bool | None:
    """Whether two normal forms are equal, where their text already tells; None where only algebra can."""
    if gold == answer:
        return True
    if _DECIMAL.fullmatch(gold) and _DECIMAL.fullmatch(answer):
        return Fraction(gold) == Fraction(answer)
    if _parts(gold) and sorted(_parts(gold)) == sorted(_parts(answer)):
        return True
    if _wordy(gold) or _wordy(answer):
        left, right = (re.sub(r"\W", "", text).casefold() for text in (gold, answer))
        return not re.search(r"[\d+<>=-]", gold) and left == right
    if _BASE.fullmatch(gold) or _BASE.fullmatch(answer) or (gold == "\\emptyset") != (answer == "\\emptyset"):
        return False
    kinds = {_bracket(gold), _bracket(answer)}
    pairs = gold.count(",") == answer.count(",") == 1
    return False if len(kinds) == 2 and "" not in kinds and ("{" in kinds or pairs) else None


def listed(text: str) -> str:
    r"""A text with commas between equations that only `\quad` or a line break separates."""
    return text if "\\begin" in text or text.count("=") < 2 else _BESIDE.sub(r"\1, ", text)


def without_percent(text: str) -> tuple[str, bool]:
    """A text without math delimiters and percent sign, and whether it had one."""
    text = _DELIMITERS.sub("", text)
    found = _PERCENT.search(text)
    return (text[: found.start()], True) if found and found.start() else (text, False)


def without_prefix(text: str, other: str) -> str:
    r"""A normal form without `x=` (or `f(x)=`, `x \in`) where the other answer has no relation."""
    found = _PREFIX.match(text)
    if found and not _RELATION.search(other) and not _RELATION.search(text[found.end() :]):
        return text[found.end() :]
    return text


def _spelled(text: str) -> list[str]:
    """Tokens of one spelling, without layout; text in a font is bare."""
    tokens: list[str] = []
    for match in _TOKEN.finditer(text):
        token = _SAME.get(match[0], match[0])
        if name := match[1] or match[2]:
            tokens.append(f"\\{'begin' if match[1] else 'end'}{{{'MATRIX' if name in _MATRICES else name}}}")
        elif token in _LAYOUT or token.isspace():
            tokens.append(" ")
        else:
            tokens.append("\\\\" if token.startswith("\\\\") else token)
    return tokens


def _joined(tokens: list[str]) -> str:
    """Text of tokens: arguments of scripts, roots and fractions braced, blanks only where they separate."""
    out: list[str] = []
    place = 0
    while place < len(tokens):
        token = tokens[place]
        place += 1
        if token == " ":
            following = next((t for t in tokens[place:] if t != " "), "")
            if out and re.fullmatch(r"\d{2}|[^\W\d_]{2}", out[-1][-1:] + following[:1]):
                out.append(" ")
        elif token in _FONTS:
            argument, place = _argument(tokens, place)
            out.append(argument[1:-1])
        else:
            arguments, place = _arguments(tokens, place, {"^": 1, "_": 1, "\\sqrt": 1, "\\frac": 2}.get(token, 0))
            out += [token, *arguments]
    return re.sub(r"(\\[A-Za-z]+) (?![A-Za-z])", r"\1", _glued(out))


def _glued(tokens: list[str]) -> str:
    text = ""
    for token in tokens:
        if re.match(r"[A-Za-z]", token) and re.search(r"\\[A-Za-z]+$", text):
            text += " "
        text += token
    return text


def _arguments(tokens: list[str], place: int, count: int) -> tuple[list[str], int]:
    found = []
    for _ in range(count):
        argument, place = _argument(tokens, place)
        found.append(argument)
    return found, place


def _argument(tokens: list[str], place: int) -> tuple[str, int]:
    """The next argument in braces, and the place after it; an optional `[3]` of a root stands before it."""
    while place < len(tokens) and tokens[place] == " ":
        place += 1
    if place == len(tokens):
        return "", place
    if tokens[place] == "[":
        end = next((i for i in range(place, len(tokens)) if tokens[i] == "]"), place)
        argument, after = _argument(tokens, end + 1)
        return _joined(tokens[place : end + 1]) + argument, after
    if tokens[place] != "{":
        arguments, after = _arguments(tokens, place + 1, {"\\sqrt": 1, "\\frac": 2}.get(tokens[place], 0))
        return f"{{{tokens[place]}{''.join(arguments)}}}", after
    depths = accumulate((token == "{") - (token == "}") for token in tokens[place:])
    end = next((at for at, depth in enumerate(depths, place) if depth == 0), len(tokens) - 1)
    inner = _joined(tokens[place + 1 : end]).strip()
    return f"{{{inner[1:-1] if _enclosed(inner) else inner}}}", end + 1


def _enclosed(text: str) -> bool:
    """Whether one pair of braces holds all of the text."""
    if not (text.startswith("{") and text.endswith("}") and not text.endswith("\\}")):
        return False
    depths = accumulate((c == "{") - (c == "}") for c in re.sub(r"(?<=\\).", " ", text, flags=re.DOTALL))
    return 0 not in list(depths)[:-1]


def _wordy(text: str) -> bool:
    bare = re.sub(r"\\(?:begin|end)\{[a-z]+\}|\\[A-Za-z]+", " ", text)
    return any(word not in _FUNCTIONS for word in _WORD.findall(bare))


def _bracket(text: str) -> str:
    """What encloses the answer as a whole: `{` for a set, a pair such as `(]`, or nothing."""
    if text.startswith("\\{") and text.endswith("\\}"):
        return "{"
    pair = text[:1] + text[-1:]
    return pair if pair in _BRACKETS else ""


def _parts(text: str) -> list[str]:
    """Members of a set or of a list without brackets; none of anything else."""
    body = text[2:-2] if _bracket(text) == "{" else text
    if "," not in body or _bracket(text) in _BRACKETS:
        return []
    parts, depth = [""], 0
    for character in body:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts
