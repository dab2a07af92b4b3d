import subprocess
import sys
import threading
import time

import psutil
import pytest
from quince.rewards.answers.final_answer import ANSWER_FORMATS, final_answer
from quince.rewards.answers.math import MathAnswer
from quince.rewards.answers.math_text import normal

HANGS = [
    r"9^{9^{9^{9}}}",
    r"(10^{9})!",
    r"\binom{10^{9}}{5\cdot 10^{8}}",
    r"\sum_{k=1}^{10^{9}} \frac{\sin k}{k^2}",
    r"\prod_{k=1}^{10^{8}} (k+1)",
    r"\int_0^{100} \sin(x^{x}) dx",
]
REWARD = MathAnswer(timeout_s=10.0, workers=1)  # slow only on a busy machine
QUICK = MathAnswer(timeout_s=0.5, workers=1)  # shares the worker


def boxed(answer):
    return f"So the answer is $\\boxed{{{answer}}}$."


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("42", "42"),
        ("42", "042"),
        ("1000", "1,000"),
        ("1000", r"1{,}000"),
        ("10000", r"10\,000"),
        (r"\frac{1}{2}", "0.5"),
        (r"\frac{1}{2}", "1/2"),
        (r"\dfrac{3}{4}", r"\frac34"),
        ("x+1", "1 + x"),
        (r"2\pi r", r"2 \pi\, r"),  # a space that ends a command is not dropped
        (r"\sqrt{8}", r"2\sqrt{2}"),
        (r"\left( 3, \frac{\pi}{2} \right)", r"(3,\pi/2)"),
        (r"\{1, 2\}", r"\{2,1\}"),
        ("1,2", "2, 1"),
        (r"(-\infty, 2]", r"\left(-\infty,2\right]"),
        (r"\text{(C)}", "C"),
        (r"\text{east}", r"\text{ east }"),
        (r"90^\circ", "90"),
        (r"\$18.90", "18.9"),
        ("6-5i", "-5i + 6"),
        ("5", "x=5"),
        ("12", r"12\text{ cm}"),
        ("3e8", r"3\times 10^8"),  # math-verify reads 3e8 as 3·e·8
        ("300000000", "3e8"),
        ("2.5e-3", "0.0025"),
        (r"10\%", r"10\%"),
        (r"10\%", "0.1"),
        ("0.1", "10%"),
        ("1011_2", r"1011_{2}"),
        (r"\begin{pmatrix} -7 \\ 16 \\ 5 \end{pmatrix}", r"\begin{bmatrix}-7\\16\\5\end{bmatrix}"),
        (r"5\text{ m}", r"500\text{ cm}"),
        (r"12\text{ square feet}", r"12 \text{ ft}^2"),
        ("18 dollars", r"1800\text{ cents}"),
        (r"x \le 2", r"(-\infty,2]"),
        ("1<x<2", "2>x>1"),
        ("y=1/x", "xy=1"),
        ("x=2,3", "x=2, x=3"),
        (r"2\cos^2 x - 1", r"\cos 2x"),
        (r"(1+i)^2", "2i"),
        (r"\{1,2\}\cup[3,4)", r"[3,4)\cup\{1,2\}"),
        (r"\text{Even}", "even"),
    ],
)
def test_accepts(gold, answer):
    assert REWARD.judge(boxed(answer), {"answer": gold}).outcome == "correct"


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        ("42", "43"),
        ("42", "-42"),
        ("1011", "1011_2"),  # the base was dropped
        ("1011_2", "1011"),
        ("52_8", "52_9"),
        ("10", r"10\%"),  # ten is not ten hundredths
        (r"10\%", "10"),
        (r"\{1,2\}", "(1,2)"),  # a set is not a pair
        ("(1,2)", r"\{1,2\}"),
        ("(1,2)", "(2,1)"),
        ("(1,2)", "[1,2]"),  # open and closed
        ("1, 2", "1"),
        ("1, 2", "1, 2, 3"),
        (r"\frac{1}{3}", "0.333"),  # a rounded value is not the value
        ("x+1", "x-1"),
        ("x^2", "2x"),
        (r"\sqrt{2}", r"\sqrt{3}"),
        (r"\text{east}", r"\text{west}"),
        (r"\text{east}", "seat"),
        (r"\frac{1}{2004!}", r"\frac{1}{2006!}"),
        ("2^{-99}", "2^{-98}"),
        ("x+2^{-99}", "x+2^{-98}"),
        (r"e^{-5000}", r"e^{-5001}"),
        (r"\sqrt2", "1.41421356"),
        (r"5\text{ cm}", r"5\text{ m}"),
        ("5 cm", "5 m"),
        ("2 t", "2"),  # a variable is no unit
        ("(2,1)", "[2,1]"),
        ("(1,2)", "2,1"),
        ("x=5", "y=5"),
        ("x<5", r"x \le 5"),
        (r"\frac{\sin(\pi t)}{2}", r"-\frac{\sin(\pi t)}{2}"),  # both are 0 at whole numbers
        ("300000000", "3e7"),
    ],
)
def test_rejects(gold, answer):
    verdict = REWARD.judge(boxed(answer), {"answer": gold})
    assert (verdict.value, verdict.outcome) == (0.0, "wrong")


@pytest.mark.parametrize(
    ("completion", "gold", "outcome"),
    [
        (r"\boxed{1} or \boxed{2}", "1, 2", "wrong"),  # the last box is the answer; two boxes are not a list
        (r"\boxed{1} or \boxed{2}", "2", "correct"),
        (r"<think>\boxed{1}</think> it is 2", "1", "unparseable"),  # a thought is not an answer
        ("Ten.\n#### 1,010", "1010", "correct"),
        (r"#### 3 so \boxed{4}", "4", "correct"),
        ("the answer is 42", "42", "unparseable"),
        (r"\boxed{42", "42", "unparseable"),
        (r"\boxed{}", "42", "unparseable"),
        (r"\boxed{" + "1+" * 2000 + "1}", "42", "unparseable"),
        (r"\boxed{42}", "", "skipped"),
        (r"\boxed{42}", "$ $", "skipped"),
    ],
)
def test_finding_the_answer(completion, gold, outcome):
    verdict = REWARD.judge(completion, {"answer": gold})
    assert verdict.outcome == outcome
    assert verdict.value == {"correct": 1.0, "skipped": None}.get(outcome, 0.0)


@pytest.mark.parametrize(
    "answer", ["42", r"\dfrac{ 1 }{2}", r"2 \pi r", "1,000", "3e8", r"10\%", r"x_{1}^{2}", "a. b."]
)
def test_the_normal_form_is_stable(answer):
    assert normal(normal(answer)) == normal(answer)


def test_extraction_takes_the_last_box():
    assert final_answer(r"\boxed{a} \boxed{\frac{1}{2}}") == r"\frac{1}{2}"


def hang(answers, times):
    for answer in answers:
        start = time.perf_counter()
        [verdict] = QUICK.judge_batch([boxed(answer)], [{"answer": "7"}])
        times.append((answer, verdict, time.perf_counter() - start))


@pytest.mark.parametrize("where", ["main", "thread"])
def test_answers_that_hang_end_in_time_and_are_not_judged(where):
    REWARD.judge(boxed("x+1"), {"answer": "1+x"})  # starts the worker
    times = []
    if where == "main":
        hang(HANGS, times)
    else:
        thread = threading.Thread(target=hang, args=(HANGS, times))
        thread.start()
        thread.join()
    assert [(verdict.value, verdict.outcome) for _, verdict, _ in times] == [(0.0, "timeout")] * len(HANGS)
    late = [answer for answer, _, taken in times if taken > QUICK.timeout_s + 0.25]
    for _ in range(4):  # a busy machine may delay a try; an answer that escapes its deadline delays all
        times = []
        hang(late, times)
        late = [answer for answer, _, taken in times if taken > QUICK.timeout_s + 0.25]
    assert late == []


def test_hangs_leak_no_processes_and_little_memory():
    me, brief = psutil.Process(), MathAnswer(timeout_s=0.02, workers=1)
    hang(HANGS[:1], [])
    REWARD.judge(boxed("x+1"), {"answer": "1+x"})  # the process that takes the place of the killed one is there
    processes, memory = len(me.children(recursive=True)), me.memory_info().rss
    for _ in range(100):
        assert brief.judge(boxed(HANGS[0]), {"answer": "7"}).outcome == "timeout"
    assert REWARD.judge(boxed("x+1"), {"answer": "1+x"}).outcome == "correct"
    assert len(me.children(recursive=True)) == processes
    assert me.memory_info().rss <= 1.05 * memory


def test_a_batch_compares_equal_pairs_once_and_keeps_the_order():
    answers = ["0.5", "x", "0.5", HANGS[0], "1/2", "nothing"]
    verdicts = MathAnswer(timeout_s=2.0, workers=1).judge_batch(
        [boxed(answer) for answer in answers[:5]] + ["nothing"], [{"answer": r"\frac{1}{2}"}] * 6
    )
    outcomes = [verdict.outcome for verdict in verdicts]
    assert outcomes == ["correct", "wrong", "correct", "timeout", "correct", "unparseable"]
    assert verdicts[0] is verdicts[2]


def test_neither_importing_nor_whole_numbers_load_sympy():
    code = (
        "import sys; from quince.rewards.answers.math import MathAnswer;"
        "assert MathAnswer().judge(r'\\boxed{7}', {'answer': '7'}).value == 1.0;"
        "assert MathAnswer().judge(r'\\boxed{7}', {'answer': '8'}).value == 0.0;"
        "assert not {'sympy', 'math_verify', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("completion", "answer_format", "found"),
    [
        (r"\boxed{3} so \boxed{4}", "boxed", "4"),
        (r"\boxed{3} #### 4", "auto", "4"),  # the last mark counts
        (r"#### 4 so \boxed{3}", "auto", "3"),
        ("Answer: 3\nNo. Answer: 4", "answer_line", "4"),
        ("**Final Answer:** 4", "auto", "4"),
        (r"The answer is: $\boxed{4}$", "answer_line", "4"),
        ("<answer>3</answer><answer> 4 </answer>", "tag", "4"),
        (r"<answer>\boxed{4}</answer>", "tag", "4"),
        ("<answer>4", "tag", None),
        ("it costs 3 and then 1,004.5 dollars", "last_number", "1,004.5"),
        ("from 3 to -4", "last_number", "-4"),
        (r"\boxed{4}", "hashes", None),
        (r"<think>\boxed{3}", "auto", None),  # a thought that does not end
        (r"<think>\boxed{3}</think>", "auto", None),
        (r"<think>a</think> \boxed{4} <think>\boxed{5}", "auto", None),
        (r"a thought</think> \boxed{4}", "auto", "4"),
        ("<think>7</think>4", "last_number", "4"),
    ],
)
def test_the_format_of_the_final_answer(completion, answer_format, found):
    assert final_answer(completion, answer_format) == found


@pytest.mark.parametrize("answer_format", ANSWER_FORMATS)
def test_gold_and_near_misses_are_written_in_the_format(answer_format):
    reward, row = MathAnswer(answer_format=answer_format), {"answer": "-12"}
    assert reward.judge(reward.gold_completion(row), row).value == 1.0
    assert reward.near_misses(row)
    assert [reward.judge(miss, row).value for miss in reward.near_misses(row)] == [0.0] * len(reward.near_misses(row))


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match=r"answer_format 'box' · allowed: auto, boxed"):
        MathAnswer(answer_format="box")


@pytest.mark.parametrize("gold", [5, 5.0, "5", ["7", "5"], [5.0], "5.0"])
def test_gold_as_a_number_or_a_list(gold):
    assert REWARD.judge(r"\boxed{5}", {"answer": gold}).value == 1.0
    assert REWARD.judge(r"\boxed{6}", {"answer": gold}).value == 0.0


def test_a_row_without_gold_says_so():
    for row in ({"id": "r"}, {"id": "r", "answer": None}):
        verdict = REWARD.judge(r"\boxed{5}", row)
        assert (verdict.value, verdict.outcome) == (None, "skipped") and "no answer · reward math" in verdict.detail


def test_a_percentage_is_its_number_where_one_is_asked_for():
    asked = {"answer": "70", "prompt": [{"role": "user", "content": "What percent of 10 is 7?"}]}
    assert REWARD.judge(r"\boxed{70\%}", asked).value == 1.0
    assert REWARD.judge(r"\boxed{70\%}", {"answer": "70"}).value == 0.0
    assert REWARD.judge(r"\boxed{7\%}", asked).value == 0.0


def test_a_gold_answer_that_cannot_be_compared_in_time_is_not_the_answers_fault():
    reward = MathAnswer(timeout_s=0.5, workers=1)
    assert reward.judge(r"\boxed{x+2}", {"answer": HANGS[0]}).outcome == "error"
    assert reward.judge(boxed(HANGS[0]), {"answer": HANGS[0]}).value == 1.0  # equal text needs no comparison


@pytest.mark.parametrize(
    "answer", ["{" * 1500, "^" * 1500, "\\frac" * 300, "(" * 1500, "-" * 1500, "\\begin{array}" * 120, "1 a" * 600]
)
def test_hostile_text_is_wrong_and_quick(answer):
    start = time.perf_counter()
    for completion in (f"#### {answer}", boxed(answer)):
        assert REWARD.judge(completion, {"answer": "7"}).value == 0.0
    assert time.perf_counter() - start < 30
