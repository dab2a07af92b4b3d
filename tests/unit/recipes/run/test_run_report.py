from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from quince.recipes.run.curves import curve_chart, curves, number, running_mean, seconds_by_phase, thinned, ticks
from quince.recipes.run.report import ReportError, first_middle_last, read_lines, text_of, write_report

HOSTILE = '</pre><script>alert(1)</script><img src=x onerror="alert(2)">'
SECONDS = {"seconds/generate": 2.0, "seconds/update": 1.0, "seconds/other": 0.5, "seconds/step": 4.0}


def metrics(steps: int) -> list[dict]:
    lines = [
        {
            "step": step,
            "loss": 1 / step,
            "reward": step / steps,
            "rewards/x/mean": step / steps,
            "outcome/x/correct": step / steps,
            "outcome/x/error": 0.0,
            "divergence/rehearsal": 0.01 * step,
            "mine": float(step),
            **SECONDS,
        }
        for step in range(1, steps + 1)
    ]
    return [*lines, {"step": steps, "train_runtime": 61.5, "train_loss": 0.5}]


def sample(step: int, completion: str) -> dict:
    prompt = [{"role": "user", "content": f"question {HOSTILE}"}]
    answer = [{"role": "assistant", "content": completion}]
    return {"step": step, "prompt": prompt, "completion": answer, "rewards": {"x": None}, "advantage": -0.5}


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "my_run"
    folder.mkdir()
    (folder / "recipe.resolved.yaml").write_text(f"kind: rlvr\ndescription: '{HOSTILE}'\n")
    (folder / "environment.json").write_text(
        json.dumps({"python": "3", "packages": {"torch": "2"}, "accelerators": []})
    )
    lines = [*metrics(60), {"step": 60, "loss": float("nan")}]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"step": 6')
    samples = [sample(step, f"answer {step} {HOSTILE}") for step in (1, 1, 30, 60)]
    (folder / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in samples))
    return folder


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))


def test_the_report_is_one_page_that_loads_nothing(run):
    path = write_report(run)
    assert path == run / "report.html"
    page = path.read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert not {"script", "img", "iframe"} & {tag for tag, _ in tags.found}
    for _, attributes in tags.found:
        assert "src" not in attributes
        assert attributes.get("href", "#").startswith(("#", "data:,"))
    assert not re.search(r"url\(|@import|https?://", page)


def test_the_report_shows_what_the_run_logged(run):
    page = write_report(run).read_text(encoding="utf-8")
    titles = re.findall(r"<figcaption>([^<]+)", page)
    assert titles == ["Loss", "Reward", "Outcomes", "Divergence", "mine"]
    assert "loss was not finite 1 time." in page
    assert "<b>60</b><span>steps</span>" in page and "<b>1 min 2 s</b>" in page
    assert "generate 120 s, 50.0 %" in page and "elsewhere 30 s, 12.5 %" in page
    assert [text in page for text in ("First: step 1", "Middle: step 30", "Last: step 60")] == [True] * 3
    assert page.count('class="sample"') == 3 and "x not judged" in page
    assert "1 more" in page
    for chart in re.findall(r"<svg.*?</svg>", page, re.S):
        ElementTree.fromstring(chart)


def test_a_run_that_has_only_begun_has_a_report(tmp_path):
    (tmp_path / "recipe.resolved.yaml").write_text("kind: sft\n")
    page = write_report(tmp_path).read_text(encoding="utf-8")
    assert "Nothing was logged more than once." in page


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ReportError, match=r"no recipe.resolved.yaml here · give the folder of a run"):
        write_report(tmp_path)


def test_seconds_count_every_step_between_two_lines():
    lines = [
        {"step": 10, **SECONDS},
        {"step": 10, "eval_loss": 1.0},
        {"step": 15, **SECONDS},
        {"step": 16, "loss": 1.0},
    ]
    assert seconds_by_phase(lines) == {"generate": 30.0, "update": 15.0, "other": 7.5, "elsewhere": 7.5}
    assert seconds_by_phase([{"step": 1, "seconds/reward": 1.0, "step_time": 3.0}]) == {"elsewhere": 2.0, "reward": 1.0}
    assert seconds_by_phase([{"step": 1, "loss": 1.0}]) == {}


def test_curves_leave_out_what_is_no_number():
    found = curves(
        [
            {"step": 1, "a": 1, "b": True, "c": "x"},
            {"step": 1, "a": 2},
            {"step": 2, "a": float("inf")},
            {"step": 3, "a": 4},
        ]
    )
    assert found.points == {"a": [(1, 2.0), (3, 4.0)]}
    assert found.left_out == {"a": 1}


def test_samples_of_three_steps():
    samples = [sample(step, text) for step in (1, 2, 3, 4, 5) for text in ("same", "same", "other", "third")]
    chosen = first_middle_last(samples)
    assert [(which, step) for which, step, _ in chosen] == [("First", 1), ("Middle", 3), ("Last", 5)]
    assert [text_of(s["completion"]) for s in chosen[0][2]] == ["same", "other"]
    assert [which for which, _, _ in first_middle_last(samples[:4])] == ["First"]
    assert first_middle_last([]) == []


def test_messages_as_text():
    call = {"role": "assistant", "content": "", "tool_calls": [{"name": "f"}]}
    assert text_of("plain") == "plain"
    assert text_of([call]) == '[{"name": "f"}]'
    assert text_of([{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]) == "system: s\nu"


def test_a_line_that_was_cut_off_is_left_out(run):
    assert len(read_lines(run / "metrics.jsonl")) == 62
    assert read_lines(run / "nothing.jsonl") == []


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (-3.2, 17.0), (1e-6, 3e-6), (5.0, 5.0), (0.0, 0.0), (-1e5, 2e5)])
def test_ticks_are_few_and_around_the_range(low, high):
    found = ticks(low, high)
    assert 3 <= len(found) <= 8
    assert found[0] <= low and high <= found[-1] and found == sorted(found)


def test_long_curves_are_thinned_and_smoothed():
    points = [(float(i), float(i % 2)) for i in range(1000)]
    few = thinned(points)
    assert len(few) <= 400 and few[-1][0] == 999
    assert running_mean([(0, 1.0), (1, 4.0), (2, 1.0)], 1) == [(0, 1.0), (1, 2.0), (2, 1.0)]
    chart = curve_chart({"a": (1, points)}, "a<b")
    places = re.findall(r"[\d.]+,([\d.]+)", chart)
    assert places and all(0 <= float(y) <= 230 for y in places)
    assert "a<b" not in chart
    assert number(-1e-05) == "−1e−5"
