"""What the SQL reward costs beside the pattern it replaces, and what its guards cost beside none.

Peer: one HTTP request per sample to a scoring server on the loopback that runs the gold query again every time, as
the reference implementation of DPH-RL does. Both sides judge the same completions on the same database, interleaved
ABAB in one process; CPU seconds of client and server together; the median of the paired ratios. Writes
`docs/results/sql_reward.{json,md}`.

    python scripts/bench/sql_reward.py
"""

from __future__ import annotations

import http.client
import json
import random
import sqlite3
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from quince.rewards.sql_execution.query import run_query
from quince.rewards.sql_execution.query_text import extract_sql
from quince.rewards.sql_execution.sql_reward import SqlExecution
from quince.rewards.sql_execution.sqlite_guard import Limits

ROUNDS = 9
PROMPTS, GROUP = 40, 8
RESULTS = Path(__file__).parents[2] / "docs" / "results"


def make_database(path: Path) -> None:
    """Two tables of 5,000 and 20,000 rows, the size of a larger Spider database."""
    rng = random.Random(0)
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, city TEXT, age INTEGER)")
    connection.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, customer_id INTEGER, total REAL, year INTEGER)")
    customers = [(i, f"name {i % 997}", f"city {rng.randrange(50)}", rng.randrange(18, 90)) for i in range(5_000)]
    orders = [(i, rng.randrange(5_000), rng.random() * 100, rng.randrange(2015, 2025)) for i in range(20_000)]
    connection.executemany("INSERT INTO customer VALUES (?, ?, ?, ?)", customers)
    connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", orders)
    connection.commit()
    connection.close()


def make_samples(database: Path, distinct: bool) -> tuple[list[str], list[dict[str, Any]]]:
    """Completions and rows: groups of 8 for each prompt, all different, or half of them repeated."""
    shapes = (
        "SELECT name FROM customer WHERE city = 'city {k}' AND age > {a}",
        "SELECT city, count(*) FROM customer WHERE age > {a} GROUP BY city HAVING count(*) > {k}",
        "SELECT name, total FROM orders o JOIN customer c ON c.id = o.customer_id WHERE year = 20{y} AND age = {a}",
        "SELECT name FROM customer WHERE id IN (SELECT customer_id FROM orders WHERE id > 19{a}0 AND year = 20{y})",
        "SELECT max(age), min(age), avg(age) FROM customer WHERE city <> 'city {k}' AND age < {a}",
    )
    completions, rows = [], []
    for prompt in range(PROMPTS):
        shape, year = shapes[prompt % len(shapes)], 15 + prompt % 10
        gold = shape.format(k=prompt, a=50, y=year)
        for sample in range(GROUP):
            age = 50 + (sample if distinct else sample // 2)
            completions.append(f"```sql\n{shape.format(k=prompt, a=age, y=year)} -- {age}\n```")
            rows.append({"id": f"{prompt}", "database": str(database), "gold_sql": gold, "semantics": "set"})
    return completions, rows


def bare_connection(database: str) -> sqlite3.Connection:
    """A pooled connection as the peer opens it: immutable, a progress handler every 1,000 steps, no other guard."""
    connection = sqlite3.connect(f"file:{database}?immutable=1", uri=True, check_same_thread=False)
    deadline = time.perf_counter() + 3600
    connection.set_progress_handler(lambda: time.perf_counter() > deadline, 1_000)
    return connection


class Scorer(BaseHTTPRequestHandler):
    """The peer's server: runs prediction and gold, compares the sets of rows."""

    database: sqlite3.Connection

    def do_PUT(self) -> None:
        """Score one sample."""
        sample = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        predicted = self.database.execute(extract_sql(sample["response"])).fetchall()
        gold = self.database.execute(sample["gold_sql"]).fetchall()
        body = json.dumps({"score": float(set(predicted) == set(gold))}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def score_by_http(port: int, completion: str, row: Mapping[str, Any]) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("PUT", "/score", json.dumps({"response": completion, "gold_sql": row["gold_sql"]}))
    score = json.loads(connection.getresponse().read())["score"]
    connection.close()
    return score


def cpu_seconds(work: Callable[[], Any]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def paired(ours: Callable[[], Any], other: Callable[[], Any]) -> dict[str, float]:
    """Medians of CPU seconds, and of the ratio other / ours, over interleaved rounds."""
    ours(), other()
    pairs = [(cpu_seconds(ours), cpu_seconds(other)) for _ in range(ROUNDS)]
    return {
        "ours_cpu_s": statistics.median(pair[0] for pair in pairs),
        "other_cpu_s": statistics.median(pair[1] for pair in pairs),
        "ratio": statistics.median(other / ours for ours, other in pairs),
        "ratio_min": min(other / ours for ours, other in pairs),
        "ratio_max": max(other / ours for ours, other in pairs),
    }


def measure(database: Path) -> dict[str, dict[str, float]]:
    """All comparisons by name."""
    connection = bare_connection(str(database))
    handler = type("BoundScorer", (Scorer,), {"database": connection})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    results = {}
    for name, distinct in (("all different", True), ("half repeated", False)):
        samples = make_samples(database, distinct)
        results |= compare_patterns(name, samples, connection, server.server_port)
    server.shutdown()
    queries = [extract_sql(text) for text in make_samples(database, True)[0]]
    limits = Limits(5.0, 100_000, 64 * 2**20)
    results["guarded / bare connection, same queries"] = paired(
        lambda: [connection.execute(sql).fetchall() for sql in queries],
        lambda: [run_query(str(database), sql, limits) for sql in queries],
    )
    return results


def compare_patterns(
    name: str, samples: tuple[list[str], list[dict[str, Any]]], connection: sqlite3.Connection, port: int
) -> dict[str, dict[str, float]]:
    """The reward beside HTTP with gold re-run, and beside gold re-run alone."""
    reward = SqlExecution()

    def judge() -> list[float | None]:
        return [verdict.value for verdict in reward.judge_batch(*samples)]

    def by_http() -> list[float]:
        return [score_by_http(port, completion, row) for completion, row in zip(*samples, strict=True)]

    def rerun() -> list[bool]:
        return [
            set(connection.execute(extract_sql(completion)).fetchall())
            == set(connection.execute(row["gold_sql"]).fetchall())
            for completion, row in zip(*samples, strict=True)
        ]

    if not judge() == by_http() == rerun():
        raise SystemExit("the patterns disagree on a score, so their costs are not comparable")
    return {
        f"HTTP and gold re-run per sample / ours, {name}": paired(judge, by_http),
        f"gold re-run in process / ours, {name}": paired(judge, rerun),
    }


def write(results: dict[str, dict[str, float]]) -> None:
    lines = [
        "# Cost of the SQL reward",
        "",
        f"CPU seconds for {PROMPTS} prompts × {GROUP} samples on a database of 5,000 + 20,000 rows, client and server",
        f"together, {ROUNDS} interleaved rounds; the ratio is the median of the paired ratios. Higher is better for us",
        "in the first four rows; the last row is the price of the guards.",
        "",
        "| comparison | denominator, s | numerator, s | ratio | range |",
        "|---|---|---|---|---|",
    ]
    for name, r in results.items():
        lines.append(
            f"| {name} | {r['ours_cpu_s']:.3f} | {r['other_cpu_s']:.3f} | **{r['ratio']:.2f}** "
            f"| {r['ratio_min']:.2f} to {r['ratio_max']:.2f} |"
        )
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "sql_reward.md").write_text("\n".join([*lines, "", "Made by `scripts/bench/sql_reward.py`.", ""]))
    (RESULTS / "sql_reward.json").write_text(json.dumps(results, indent=2) + "\n")
    print("\n".join(lines))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "shop.sqlite"
        make_database(path)
        write(measure(path))
