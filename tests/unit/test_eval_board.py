from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from quince.eval.board import build_board
from quince.eval.board.charts import Line, Point, line_chart, scatter
from quince.eval.engines.base import Sampling
from quince.eval.evaluate import Evaluation
from quince.eval.problems import Answer, Problem
from quince.eval.records import RecordError, write_record
from quince.eval.samples import SampleLog
from quince.eval.settings import Settings
from quince.eval.statistics import Interval

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)"> & \u2028'


def write(folder, model: str, shares: list[int], suite: str = "sums"):
    settings = Settings(
        suite=suite,
        model=model,
        revision=None,
        model_fingerprint=model,
        dtype="float32",
        engine="transformers",
        engine_version="5",
        sampling=Sampling(n=16),
        reward={},
        data=[],
        rows_sha256="",
        template_sha256="",
    )
    problems = []
    for i, share in enumerate(shares):
        right = Answer("right " + HOSTILE, share, 1.0, "correct", True, "r", 3, -1.0, False)
        wrong = Answer("wrong", 16 - share, 0.0, "wrong", False, None, 3, -1.0, False)
        answers = tuple(a for a in (right, wrong) if a.count)
        greedy = replace(answers[0], count=1)
        problems.append(Problem(f"p{i}", "sums", f"question {i} {HOSTILE}", {"answer": "1"}, answers, greedy))
    log = SampleLog(folder, settings.hash)
    log.append(problems)
    log.finish()
    write_record(folder, Evaluation(tuple(problems), settings.sampling, (1, 4, 16)), settings)


class Page(HTMLParser):
    """Collects elements, cells and the embedded data."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.open: list[str] = []
        self.data = ""

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self.open.append(dict(attributes).get("id", tag))

    def handle_endtag(self, tag):
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] == "data":
            self.data += data


@pytest.fixture
def page(tmp_path):
    write(tmp_path / "records/base", "tiny", [4, 5, 3, 6] * 10)
    write(tmp_path / "records/same", "runs/same/model", [4, 5, 3, 6] * 10)
    write(tmp_path / "records/better", "runs/better/model", [16, 16, 0, 16] * 10)
    path = build_board([tmp_path / "records"], tmp_path / "board")
    assert path == tmp_path / "board/index.html"
    return path.read_text(encoding="utf-8")


def test_the_page_loads_nothing_from_elsewhere(page):
    parsed = Page()
    parsed.feed(page)
    for tag, attributes in parsed.tags:
        assert tag not in ("link", "img", "iframe")
        assert "src" not in attributes
        assert not attributes.get("href", "#").startswith(("http", "//"))
    assert not re.search(r"url\(|@import|https?://", page)


def test_text_of_models_stays_text(page):
    parsed = Page()
    parsed.feed(page)
    scripts = [attributes for tag, attributes in parsed.tags if tag == "script"]
    assert len(scripts) == 2
    data = json.loads(parsed.data)
    assert data[0]["problems"][0]["question"] == f"question 0 {HOSTILE}"
    assert data[0]["models"] == ["tiny", "better", "same"]
    assert "innerHTML" not in page


def test_ties_are_ties_and_the_base_comes_first(page):
    rows = re.findall(r"<tr>(.*?)</tr>", page, re.S)[1:]
    ranks = [re.sub(r"<[^>]+>|\s", "", re.search(r'class="rank">(.*?)</td>', row, re.S)[1]) for row in rows]
    names = [re.search(r"</i>([^<]+)", row)[1] for row in rows]
    assert list(zip(names, ranks, strict=True)) == [("tiny", "2="), ("better", "1"), ("same", "2=")]


def test_one_model_alone_has_a_page(tmp_path):
    write(tmp_path / "one", "tiny", [0, 16, 3])
    page = build_board([tmp_path / "one"], tmp_path / "board").read_text(encoding="utf-8")
    assert "Rank" not in page
    assert page.count("<figure>") == 1


def test_other_problems_and_ks_are_remarked(tmp_path):
    write(tmp_path / "a", "tiny", [4, 5, 3])
    write(tmp_path / "b", "runs/b/model", [4, 5])
    page = build_board([tmp_path], tmp_path / "board").read_text(encoding="utf-8")
    assert "Only 2 problems were answered by every model" in page


def test_no_record_is_said(tmp_path):
    with pytest.raises(RecordError, match="no record"):
        build_board([tmp_path], tmp_path / "board")


def test_charts_stay_inside_their_frame():
    high, low = Interval(0.999, 0.99, 1.0, 0.95), Interval(0.0, 0.0, 0.004, 0.95)
    charts = [
        line_chart([Line("a", 0, [(1, low), (4, high)]), Line("b", 1, [(1, high)])], "t", "k", "y"),
        line_chart([Line("a", 0, [(8, low)])], "t", "k", "y"),
        scatter([Point("a<b", 0, low, high), Point("c", 1, high, low)], "t", "x", "y", Point("a", 0, low, high)),
    ]
    for chart in charts:
        numbers = re.findall(r'c[xy]="([-\d.]+)"', chart)
        assert numbers and all(0 <= float(n) <= 440 for n in numbers)
        assert "nan" not in chart and "a<b" not in chart
