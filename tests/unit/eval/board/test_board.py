from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from quince.eval.board import build_board
from quince.eval.board.build import ASSETS, file_names
from quince.eval.board.comparisons import PAIRS_OF_ALL, confusion
from quince.eval.engines.base import Sampling
from quince.eval.measure.compare import compare, ranks
from quince.eval.measure.evaluate import Evaluation
from quince.eval.measure.problems import Answer, Problem, SampleLog
from quince.eval.measure.records import RecordError, write_record
from quince.eval.measure.settings import Settings
from quince.eval.measure.statistics import Interval
from quince.eval.show.figures import Line, Point, line_chart, scatter

HOSTILE = '</script><script>alert(1)</script><img src=x onerror="alert(2)"> & \u2028'


def write(folder, model: str, shares: list[int], suite: str = "sums", judged: bool = True):
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
        if not judged:
            answers = tuple(replace(a, value=None, outcome="skipped", correct=False) for a in answers)
        greedy = replace(answers[0], count=1)
        problems.append(Problem(f"p{i}", "sums", f"question {i} {HOSTILE}", {"answer": "1"}, answers, greedy))
    log = SampleLog(folder, settings.hash)
    log.append(problems)
    log.finish()
    write_record(folder, Evaluation(tuple(problems), settings.sampling, (1, 4, 16)), settings)


class Page(HTMLParser):
    """Collects elements and the embedded data."""

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
        if self.open and self.open[-1] == "browser":
            self.data += data


def parsed(page) -> Page:
    found = Page()
    found.feed(page.read_text(encoding="utf-8"))
    return found


def given(script):
    """The data that a script hands to the page."""
    name, text = re.fullmatch(
        r'quince\.add\("(.+?)", JSON\.parse\((.+)\)\);\n', script.read_text(encoding="utf-8")
    ).groups()
    assert script.as_posix().endswith(name)
    return json.loads(json.loads(text))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    write(folder / "records/base", "tiny", [4, 5, 3, 6] * 10)
    write(folder / "records/same", "runs/same/model", [4, 5, 3, 6] * 10)
    write(folder / "records/better", "runs/better/model", [16, 16, 0, 16] * 10)
    path = build_board([folder / "records"], folder / "board")
    assert path == folder / "board/index.html"
    return path.parent


@pytest.mark.parametrize("judged", [(False,), (False, False), (True, False), (False, True)])
def test_a_suite_whose_answers_were_not_judged_has_a_page(judged, tmp_path):
    for model, known in zip(("one", "two"), judged, strict=False):
        write(tmp_path / "records" / model, model, [4, 5], judged=known)
    page = build_board([tmp_path / "records"], tmp_path / "board", base="one")
    assert parsed(page).tags and (page.parent / "models" / "one.html").is_file()


def test_there_is_a_page_for_every_model_and_every_two(site):
    names = sorted(path.relative_to(site).as_posix() for path in site.rglob("*") if path.is_file())
    assert names == sorted(
        [
            "index.html",
            *ASSETS,
            *(f"models/{name}.html" for name in ("tiny", "better", "same")),
            *(f"comparisons/{name}.html" for name in ("tiny--better", "tiny--same", "better--same")),
            "data/sums/questions.js",
            *(f"data/sums/answers/{name}.js" for name in ("tiny", "better", "same")),
        ]
    )


def test_links_lead_to_files_of_the_site_and_nowhere_else(site):
    for page in site.rglob("*.html"):
        for tag, attributes in parsed(page).tags:
            assert tag not in ("img", "iframe")
            for place in (attributes.get("href"), attributes.get("src")):
                if place and not place.startswith(("#", "data:,")):
                    assert (page.parent / place).resolve().is_relative_to(site.resolve()), place
                    assert (page.parent / place).is_file(), place
    for name in ASSETS:
        assert not re.search(r"url\(|@import|https?://|fetch\(|XMLHttp", (site / name).read_text())


def test_what_the_script_wants_is_there(site):
    for page in [*site.glob("models/*.html"), *site.glob("comparisons/*.html")]:
        wanted = json.loads(parsed(page).data)
        for suite in wanted["suites"]:
            asked = given(site / suite["questions"])
            assert len(suite["answers"]) == len(wanted["models"])
            assert all(len(given(site / file)) == len(asked) for file in suite["answers"])


def test_text_of_models_stays_text(site):
    for page in site.rglob("*.html"):
        scripts = [attributes for tag, attributes in parsed(page).tags if tag == "script"]
        assert len(scripts) == (0 if page.name == "index.html" else 2)
        assert HOSTILE not in page.read_text(encoding="utf-8")
    assert given(site / "data/sums/questions.js")[0] == ["p0", f"question 0 {HOSTILE}", {"answer": "1"}]
    n, correct, distinct, outcomes, greedy, answers = given(site / "data/sums/answers/better.js")[0]
    assert (n, correct, distinct, outcomes, greedy[2]) == (16, 16, 1, ["correct"], "correct")
    assert answers == [[f"right {HOSTILE}", 16, "correct", "", 3]]
    assert "\u2028" not in (site / "data/sums/answers/better.js").read_text(encoding="utf-8")
    assert "innerHTML" not in (site / "board.js").read_text()


def test_ties_are_ties_and_the_base_comes_first(site):
    page = (site / "index.html").read_text(encoding="utf-8")
    table = page.split("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.S)[1:]
    ranks = [re.sub(r"<[^>]+>|\s", "", re.search(r'class="rank">(.*?)</td>', row, re.S)[1]) for row in rows]
    names = [re.search(r"</i><a[^>]*>([^<]+)", row)[1] for row in rows]
    assert list(zip(names, ranks, strict=True)) == [("tiny", "2="), ("better", "1"), ("same", "2=")]
    assert re.search(r"With n = 40 a true difference of Pass@1 under \d+\.\d points is found with a ch", page)
    assert re.search(r"all pairs of models are tested together \(Holm\)", page)


def test_a_comparison_says_what_is_a_tie_and_what_could_be_found(site):
    page = (site / "comparisons/tiny--same.html").read_text(encoding="utf-8")
    assert "higher in" not in page and "lower in" not in page
    assert "+0.0 tie" in page
    page = (site / "comparisons/tiny--better.html").read_text(encoding="utf-8")
    assert re.search(r"higher in</b> Pass@1</span>.*lower in</b> Pass@16, ", page)
    assert re.search(r"With n = 40 a true difference of Pass@1 under \d+\.\d points is found with a ch", page)
    assert page.count("<figure>") == 4


def test_one_model_alone_has_a_site(tmp_path):
    write(tmp_path / "one", "tiny", [0, 16, 3])
    index = build_board([tmp_path / "one"], tmp_path / "board")
    page = index.read_text(encoding="utf-8")
    assert "Rank" not in page and "Comparisons" not in page
    assert page.count("<figure>") == 1
    assert not (tmp_path / "board/comparisons").exists()


def test_other_problems_and_ks_are_remarked(tmp_path):
    write(tmp_path / "a", "tiny", [4, 5, 3])
    write(tmp_path / "b", "runs/b/model", [4, 5])
    index = build_board([tmp_path], tmp_path / "board")
    assert "Only 2 problems were answered by every model" in index.read_text(encoding="utf-8")
    assert [row is None for row in given(index.parent / "data/sums/answers/b.js")] == [False, False, True]


def test_of_many_models_only_those_against_the_base_are_compared(tmp_path):
    for number in range(PAIRS_OF_ALL + 1):
        write(tmp_path / str(number), "tiny" if not number else f"runs/{number}/model", [4, 5])
    index = build_board([tmp_path], tmp_path / "board")
    assert len(list(index.parent.glob("comparisons/*.html"))) == PAIRS_OF_ALL
    assert len(list(index.parent.glob("comparisons/tiny--*.html"))) == PAIRS_OF_ALL


def test_models_of_equal_file_names_stay_apart():
    assert file_names(["A/b", "a b", "..", "tiny@20"]) == {
        "A/b": "a-b",
        "a b": "a-b-2",
        "..": "model",
        "tiny@20": "tiny@20",
    }


def test_no_record_is_said(tmp_path):
    with pytest.raises(RecordError, match="no record"):
        build_board([tmp_path], tmp_path / "board")


def problem(name: str, outcomes: dict[str, int], greedy: str | None = None) -> Problem:
    def answer(outcome: str, count: int) -> Answer:
        right = outcome == "correct"
        return Answer(outcome, count, float(right), outcome, right, None, 1, 0.0, False)

    answers = tuple(answer(outcome, count) for outcome, count in outcomes.items())
    return Problem(name, "t", "", {}, answers, answer(greedy, 1) if greedy else None)


def test_outcomes_are_paired_by_problem():
    base = [problem("a", {"correct": 1}), problem("b", {"correct": 1, "wrong": 1}), problem("c", {"wrong": 2})]
    other = [problem("b", {"wrong": 2}), problem("a", {"unparseable": 1}), problem("d", {"correct": 1})]
    table = confusion(base, other)
    assert (table.of, table.problems) == ("sampled answers", 2)
    assert table.outcomes == ("correct", "wrong", "unparseable")
    assert table.shares == {("correct", "unparseable"): 0.5, ("correct", "wrong"): 0.25, ("wrong", "wrong"): 0.25}


def test_greedy_outcomes_go_before_samples():
    base, other = [problem("a", {"wrong": 4}, "correct")], [problem("a", {"correct": 4}, "wrong")]
    table = confusion(base, other)
    assert table.of == "greedy answers"
    assert table.shares == {("correct", "wrong"): 1.0}


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


def test_few_changes_of_greedy_answers_are_a_tie():
    def problems(solved: int) -> list[Problem]:
        return [problem(str(i), {"wrong": 1}, "correct" if i < solved else "wrong") for i in range(128)]

    greedy = compare(problems(98), problems(94), (1,)).differences["greedy"]
    assert greedy.contains(0) and greedy.p_value == pytest.approx(0.125)
    assert ranks({"a": {str(i): i < 98 for i in range(128)}, "b": {str(i): i < 94 for i in range(128)}}) == {
        "a": 1,
        "b": 1,
    }
