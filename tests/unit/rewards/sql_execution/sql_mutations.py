"""Small changes of a SQL query, some of them harmless: what models write beside the gold query."""

import random
import re

_CLAUSES = r"\b(?:where|group by|having|order by|limit|intersect|union|except)\b"


def mutations(sql, rng=None):
    """Changed queries by the kind of change; kinds that do not apply are left out.

    Args:
        sql: A query as Spider and BIRD write them.
        rng: Chooses numbers; default a fixed one.
    """
    rng = rng or random.Random(sql)
    found = {
        "order dropped": _sub(r"\border by\b(?:(?!\blimit\b|\)).)*", "", sql),
        "direction": _turned(sql),
        "columns swapped": _swapped(sql),
        "columns rotated": _rotated(sql),
        "column added": _sub(r"^(\s*select(?: distinct)? )", r"\g<1>1, ", sql),
        "column doubled": _doubled(sql),
        "distinct added": _sub(r"^(\s*select )(?!distinct)", r"\g<1>DISTINCT ", sql),
        "distinct removed": _sub(r"\bdistinct\b", "", sql),
        "distinct in count": _sub(r"\bcount\s*\((?!\s*(?:\*|distinct))", "count(DISTINCT ", sql),
        "limit changed": _sub(r"\blimit \d+", f"LIMIT {rng.randint(2, 9)}", sql),
        "limit dropped": _sub(r"\blimit \d+", "", sql),
        "limit added": None if re.search(r"\blimit\b", sql, re.I) else f"{sql.rstrip('; ')} LIMIT {rng.randint(1, 3)}",
        "where dropped": _sub(rf"\bwhere\b(?:(?!{_CLAUSES}|\)).)*", "", sql),
        "number changed": _sub(r"(?<![\w.])(\d+)(?![\w.])", lambda m: str(int(m[1]) + 1), sql),
        "text changed": _sub(r"(['\"])((?:(?!\1).)+)\1", r"\1\2x\1", sql),
        "comparison": _sub(r"(?<![<>=!])[<>](?!=|>)", lambda m: m[0] + "=", sql),
        "broken operator": _sub(r">=|<=|!=", lambda m: f"{m[0][0]} {m[0][1]}", sql),
        "aggregate": _sub(r"\b(max|min|avg|sum)\s*\(", lambda m: _OTHER[m[1].lower()] + "(", sql),
        "count of": _sub(r"\bcount\s*\(\s*\*\s*\)", "count(1)", sql),
        "number as a float": _sub(r"\b(count|sum|max|min)\s*\(", r"0.0 + \1(", sql),
        "lower case": re.sub(r"\b[A-Z_]{2,}\b", lambda m: m[0].lower(), sql),
        "upper case": _outside_quotes(sql, str.upper),
        "quotes": re.sub(r'"([^"\']*)"', r"'\1'", sql),
        "alias": re.sub(r"\bT(\d)\b", r"tab_\1", sql),
        "semicolon": sql.rstrip("; ") + " ;",
        "semicolons": sql.rstrip("; ") + ";;",
        "comment": sql.rstrip("; ") + "; -- DISTINCT, done",
        "comment before": "/* ORDER BY; */ " + sql,
        "two statements": sql.rstrip("; ") + "; SELECT 1",
        "cut off": sql[: 2 * len(sql) // 3],
        "empty": f"SELECT * FROM ({sql.rstrip('; ')}) LIMIT 0",
        "doubled rows": f"SELECT * FROM ({sql.rstrip('; ')}) UNION ALL SELECT * FROM ({sql.rstrip('; ')})",
    }
    return {kind: text for kind, text in found.items() if text and (text != sql or kind == "lower case")}


_OTHER = {"max": "min", "min": "max", "avg": "sum", "sum": "avg"}


def _sub(pattern, by, sql):
    changed, times = re.subn(pattern, by, sql, count=1, flags=re.IGNORECASE | re.DOTALL)
    return changed if times else None


def _turned(sql):
    if not re.search(r"\border by\b", sql, re.I):
        return None
    for old, new in ((r"\bdesc\b", "ASC"), (r"\basc\b", "DESC")):
        if re.search(old, sql, re.I):
            return re.sub(old, new, sql, flags=re.I)
    return _sub(r"(\border by\s+(?:(?!\blimit\b|\)\s*$).)*?)(\s*(?:\blimit\b.*)?;?\s*)$", r"\1 DESC\2", sql)


def _outside_quotes(sql, change):
    parts = re.split(r"('[^']*'|\"[^\"]*\")", sql)
    return "".join(part if part[:1] in ("'", '"') else change(part) for part in parts)


def _columns(sql):
    """Head, columns of the first SELECT, rest; None where it is nested or has one column."""
    match = re.match(r"(\s*select (?:distinct )?)((?:(?!\bfrom\b).)*?)( from\b.*)", sql, re.I | re.DOTALL)
    if not match or "(" in re.sub(r"\([^()]*\)", "", match[2]):
        return None
    columns = [part.strip() for part in re.split(r",(?![^()]*\))", match[2])]
    return (match[1], columns, match[3]) if len(columns) > 1 else None


def _with(sql, change):
    parts = _columns(sql)
    return parts and parts[0] + ", ".join(change(parts[1])) + parts[2]


def _swapped(sql):
    return _with(sql, lambda columns: [columns[1], columns[0], *columns[2:]])


def _rotated(sql):
    return _with(sql, lambda columns: [*columns[1:], columns[0]])


def _doubled(sql):
    return _with(sql, lambda columns: [columns[0], columns[0], *columns[2:]])
