"""The structure of an SQL query without its names: what makes two answers the same idiom."""

from __future__ import annotations

import re

_WORDS = """
SELECT DISTINCT FROM WHERE JOIN INNER LEFT RIGHT FULL OUTER CROSS NATURAL ON USING GROUP ORDER BY HAVING LIMIT
OFFSET UNION ALL EXCEPT INTERSECT IN NOT EXISTS IS NULL AND OR BETWEEN LIKE CASE WHEN THEN ELSE END WITH
RECURSIVE DESC OVER PARTITION
"""
KEYWORDS = frozenset(_WORDS.split())
# A function is a word before an opening parenthesis; the same word elsewhere may be a column.
# Strings, quoted names and comments come first, so that a keyword inside one is not seen.
_PIECE = re.compile(
    r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | \[[^\]]*\] | --[^\n]* | /\*.*?\*/
    | (?P<function>[A-Za-z_]\w*)(?=\s*\() | (?P<word>[A-Za-z_]\w*) | (?P<mark>[()*])""",
    re.DOTALL | re.VERBOSE,
)


def fingerprint(sql: str) -> str:
    """Keywords, functions, stars and parentheses of a query in order, separated by spaces.

    Identifiers, literals, comments, operators and aliases are dropped, so
    ``SELECT name FROM singer WHERE id IN (SELECT singer_id FROM concert)`` becomes
    ``SELECT FROM WHERE IN ( SELECT FROM )``. ``ASC`` is dropped too, being the default.
    """
    kept = []
    for match in _PIECE.finditer(sql):
        word = (match["word"] or "").upper()
        if match["function"] or match["mark"]:
            kept.append(match.group().upper())
        elif word in KEYWORDS:
            kept.append(word)
    return " ".join(kept)
