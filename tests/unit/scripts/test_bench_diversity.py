"""The report of the diversity bench on made-up results, whose means and verdicts are known."""

from __future__ import annotations

import json

import numpy as np
import pytest
from quince.eval.measure.statistics import Interval
from quince.scripts.bench.diversity import page
from quince.scripts.bench.diversity.claims import (
    best_of_both,
    choose,
    comparisons,
    gain_of_grpo,
    judge,
    loss_of_grpo,
    match_of_controls,
    matches,
)
from quince.scripts.bench.diversity.resampling import (
    METRICS,
    SUITES,
    ResultsError,
    Setting,
    average,
    difference,
    interpolate,
    read_settings,
    resample,
)
from quince.scripts.bench.diversity.runs import report, summarise

PROBLEMS = 40
NOISE = np.random.default_rng(0).normal(0, 0.02, (20, PROBLEMS))


def setting(method, pass1, pass16, weight=None, seeds=(0, 1, 2), noise=0.0):
    """A setting with these means; `pass16` is one number, or one a suite."""
    by_suite = pass16 if isinstance(pass16, tuple) else (pass16,) * len(SUITES)
    centred = NOISE[[(s + len(method)) % len(NOISE) for s in seeds]] * noise
    centred = centred - centred.mean()
    values = {
        suite: {name: (pass1 if name == "pass@1" else height) + centred for name in METRICS}
        for suite, height in zip(SUITES, by_suite, strict=True)
    }
    return Setting(method, weight, f"rlvr/{method}", tuple(seeds), 1.0, values)


BASE = setting("base", 0.40, 0.90)
GRPO = setting("GRPO", 0.60, (0.80, 0.70, 0.90), noise=1.0)


def test_results_become_arrays_in_the_order_of_the_plan(tmp_path):
    write_runs(tmp_path, methods={"GRPO": 0.6, "base": 0.4, "other": 0.5}, seeds=(1, 0))
    settings = read_settings(tmp_path, [("base", None), ("GRPO", None), ("absent", 1.0)])
    assert [s.method for s in settings] == ["base", "GRPO", "other"]
    assert settings[0].seeds == (0, 1)
    # Problem p of seed s has 0.4 + (p + 10 s) / 1000.
    np.testing.assert_allclose(
        settings[0].values["in_domain"]["pass@1"], 0.4 + np.array([[0, 1, 2], [10, 11, 12]]) / 1e3
    )
    assert np.isnan(settings[0].values["old_skill"]["idiom_entropy"][:, 0]).all()


def test_other_problems_are_refused(tmp_path):
    write_runs(tmp_path, methods={"base": 0.4}, seeds=(0, 1))
    run = json.loads((tmp_path / "base-1.json").read_text())
    run["suites"]["in_domain"]["pass@1"].append(0.5)
    (tmp_path / "base-1.json").write_text(json.dumps(run))
    with pytest.raises(ResultsError, match=r"in_domain pass@1: not the same problems \(base-0 3, base-1 4\)"):
        read_settings(tmp_path, [])


def test_no_results_are_said_so(tmp_path):
    with pytest.raises(ResultsError, match="no result files"):
        read_settings(tmp_path, [])


def test_means_are_exact_and_leave_out_what_is_undefined():
    one = setting("base", 0.4, 0.9)
    values = np.array([[1.0, np.nan, 3.0], [np.nan, 5.0, 7.0]])
    one.values["in_domain"] = dict.fromkeys(METRICS, values)
    cut = Setting("base", None, None, (0, 1), 0.0, one.values)
    assert average(cut, "in_domain", "idiom_entropy").estimate == pytest.approx(4.0)
    empty = Setting("base", None, None, (0, 1), 0.0, {s: dict.fromkeys(METRICS, values * np.nan) for s in SUITES})
    assert average(empty, "in_domain", "idiom_entropy") is None


def test_resampled_means_agree_with_a_loop():
    drawn = resample([GRPO, BASE], draws=5)
    values = GRPO.values["cross_domain"]["pass@16"]
    for draw, mean in enumerate(drawn.means(GRPO, "cross_domain", "pass@16")):
        seeds = np.repeat(np.arange(3), drawn.seed_counts[draw].astype(int))
        problems = np.repeat(np.arange(PROBLEMS), drawn.problem_counts["cross_domain"][draw].astype(int))
        assert mean == pytest.approx(values[np.ix_(seeds, problems)].mean())
    assert not np.array_equal(drawn.problem_counts["in_domain"], drawn.problem_counts["old_skill"])


def test_differences_are_paired_over_shared_seeds():
    hard = np.random.default_rng(1).random((3, PROBLEMS))
    low = Setting("base", None, None, (0, 1, 2), 0.0, {s: dict.fromkeys(METRICS, hard) for s in SUITES})
    high = Setting(
        "GRPO", None, None, (1, 2, 5), 0.0, {s: dict.fromkeys(METRICS, hard[[1, 2, 0]] + 0.1) for s in SUITES}
    )
    gap = difference(high, low, "in_domain", "pass@1")
    assert (gap.estimate, gap.low, gap.high) == pytest.approx((0.1, 0.1, 0.1))
    assert difference(low, low, "in_domain", "pass@1") is None
    assert difference(setting("x", 0.5, 0.5, seeds=(7,)), low, "in_domain", "pass@1") is None


def test_an_interval_covers_both_spreads():
    """With equal problems the spread is that of seeds, and the standard error that of a mean of them."""
    by_seed = np.random.default_rng(2).normal(0, 1, (16, 1)) + np.zeros((16, PROBLEMS))
    one = Setting("x", None, None, tuple(range(16)), 0.0, {s: dict.fromkeys(METRICS, by_seed) for s in SUITES})
    found = average(one, "in_domain", "pass@1")
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * by_seed[:, 0].std() / 4, rel=0.08)


@pytest.mark.parametrize(
    ("figure", "verdict"),
    [
        ((0.12, 0.05, 0.2), "holds"),
        ((0.12, -0.01, 0.2), "not shown"),
        ((0.08, 0.05, 0.12), "not shown"),
        ((0.05, 0.02, 0.09), "does not hold"),
        (None, "not shown"),
    ],
)
def test_the_rule_of_judging(figure, verdict):
    assert judge(Interval(*figure, 0.95) if figure else None, 0.10) == verdict


def test_gain_and_loss_of_grpo():
    gain, loss = gain_of_grpo(BASE, GRPO), loss_of_grpo(BASE, GRPO)
    assert gain.verdict == "holds"
    assert gain.parts[0].figures["difference"].estimate == pytest.approx(0.2)
    assert loss.verdict == "holds (cross-domain); does not hold (old skill)"
    assert loss.parts[0].figures["difference"].estimate == pytest.approx(-0.2)
    assert "−20.0 points" in loss.parts[0].sentence


def test_a_setting_that_keeps_both_is_found():
    several = [setting("DPH-F", 0.58, 0.70, 0.1), setting("DPH-F", 0.55, (0.90, 0.895, 0.80), 1.0)]
    claim = best_of_both([BASE, GRPO, *several], BASE, GRPO)
    verdicts = {part.name: part.verdict for part in claim.parts}
    assert verdicts == {
        "in-domain": "holds",
        "cross-domain": "holds",
        "old skill": "does not hold",
        "all three": "does not hold",
    }
    assert claim.parts[0].setting == "DPH-F 1"
    assert claim.parts[0].figures["gain_kept"].estimate == pytest.approx(0.75)
    assert claim.parts[1].figures["held_out_change"] == pytest.approx(-0.005)


def test_the_luckiest_of_many_is_not_taken_for_a_finding():
    """Twenty settings 1.5 points under the base, with noise that lifts the best of them over the mark."""
    rng = np.random.default_rng(3)
    several = []
    for weight in range(20):
        values = {s: {m: 0.58 + np.zeros((3, PROBLEMS)) for m in METRICS} for s in SUITES}
        for suite in SUITES:
            values[suite]["pass@16"] = 0.885 + rng.normal(0, 0.05, (3, PROBLEMS))
        several.append(Setting("DPH-F", float(weight), "r", (0, 1, 2), 1.0, values))
    part = best_of_both([BASE, GRPO, *several], BASE, GRPO).parts[0]
    assert part.figures["change"].estimate > -0.01 > part.figures["held_out_change"]
    assert part.verdict == "not shown"


def test_no_gain_leaves_nothing_to_keep():
    flat = setting("GRPO", 0.40, 0.90)
    claim = best_of_both([BASE, flat, setting("DPH-F", 0.4, 0.9, 1.0)], BASE, flat)
    assert claim.verdict == "not shown"
    assert "no clear gain" in claim.parts[0].sentence


def test_choose_prefers_variety_among_those_that_gain_enough():
    assert choose([0.9, 0.75, 0.5], [-0.1, -0.02, 0.0]) == 1
    assert choose([0.3, 0.6, 0.5], [0.0, -0.2, 0.0]) == 1


def test_interpolation_is_linear_between_points_and_level_beyond():
    x, y = np.array([[0.6], [0.4]]), np.array([[0.7], [0.9]])
    for at, height in ((0.5, 0.8), (0.45, 0.85), (0.3, 0.9), (0.7, 0.7)):
        assert interpolate(x, y, np.array([at]))[0] == pytest.approx(height)


def frontier(method, shift, weights=(0.1, 0.3, 1.0)):
    """Pass@16 falls by one point a point of Pass@1; `shift` lifts the line."""
    return [setting(method, x, 1.4 + shift - x, w) for w, x in zip(weights, (0.60, 0.55, 0.50), strict=True)]


@pytest.mark.parametrize(("shift", "verdict"), [(0.0, "holds"), (-0.05, "does not hold"), (0.05, "holds")])
def test_controls_on_lines_of_known_distance(shift, verdict):
    settings = [BASE, GRPO, *frontier("replay-SFT", shift), *frontier("DPH-F", 0.0), *frontier("DPH-JS", 0.0)]
    found = comparisons(settings)
    assert {(c.dph, c.place) for c in found} >= {("DPH-JS", "highest"), ("mean of DPH", "middle")}
    assert all(gap.estimate == pytest.approx(-shift) for c in found for gap in c.gaps.values())
    assert all(c.level == pytest.approx(0.60 if c.place == "highest" else 0.55) for c in found)
    assert match_of_controls(found).verdict == verdict


def test_wide_intervals_neither_match_nor_differ():
    assert matches(Interval(0.01, -0.01, 0.03, 0.95)) == "not shown"


def test_sweeps_without_a_common_range_are_not_compared():
    far = [setting("replay-SFT", x, 0.9, w) for w, x in ((0.1, 0.45), (1.0, 0.42))]
    assert comparisons([BASE, GRPO, *far, *frontier("DPH-F", 0.0)]) == []


def test_the_base_alone_gives_a_report_that_says_so():
    found = summarise([BASE], [("base", None, 0), ("GRPO", None, 0)])
    assert [claim["verdict"] for claim in found["claims"]] == ["not shown"] * 4
    assert found["missing_runs"] == ["GRPO seed 0"]


def test_the_report_has_settings_claims_page_and_picture(tmp_path):
    pytest.importorskip("matplotlib")
    write_runs(tmp_path / "results", methods={"base": 0.4, "GRPO": 0.6, "DPH-F": 0.55}, seeds=(0,))
    found = report(tmp_path / "results")
    grpo = next(row for row in found["settings"] if row["setting"] == "GRPO")
    assert grpo["suites"]["in_domain"]["pass@1"]["minus_base"] == pytest.approx([0.2, 0.2, 0.2])
    assert len(found["claims"]) == 4
    assert [stamp["commit"] for stamp in found.pop("stamps")] == [None] * 3
    found["provenance"] = {"seeds": found.pop("seeds")}
    text = page.render(json.loads(json.dumps(found)))
    assert "**Partial:**" in text and "**Few seeds:** with 1" in text and "nan" not in text
    page.draw(found, tmp_path)
    assert (tmp_path / "diversity.png").stat().st_size > 10_000


def test_a_control_is_told_from_its_namesake():
    """Both replay-SFT and "replay-SFT, wide store" are controls; each is named with its own places."""
    wide = frontier("replay-SFT, wide store", -0.05)
    settings = [BASE, GRPO, *frontier("replay-SFT", 0.0), *wide, *frontier("DPH-F", 0.0)]
    text = page.render(summarise(settings, []) | {"provenance": {"seeds": [0, 1, 2]}})
    words = "at the highest common Pass@1: "
    assert f"- **replay-SFT** {words}matches DPH (within 2 points, or better): in-domain, cross-domain" in text
    assert f"- **replay-SFT, wide store** {words}is behind DPH: in-domain, cross-domain" in text


def write_runs(folder, methods, seeds):
    folder.mkdir(exist_ok=True)
    for method, height in methods.items():
        for seed in seeds:
            values = [height + (p + 10 * seed) / 1000 for p in range(3)]
            metrics = dict.fromkeys(METRICS, values) | {"idiom_entropy": [None, 0.5, 0.7]}
            run = {"name": f"{method}-{seed}", "method": method, "weight": None, "seed": seed, "train_cpu_seconds": 1.0}
            run |= {"recipe": None, "suites": dict.fromkeys(SUITES, metrics)}
            (folder / f"{run['name']}.json").write_text(json.dumps(run))
