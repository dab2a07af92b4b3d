import subprocess
import sys
import threading
import time

import psutil
import pytest
from quince.rewards.answers.math import MathAnswer
from quince.rewards.answers.math_text import extract_answer, normal

HANGS = [
    r"9^{9^{9^{9}}}",
    r"(10^{9})!",
    r"\binom{10^{9}}{5\cdot 10^{8}}",
    r"\sum_{k=1}^{10^{9}} \frac{1}{k^2}",
    r"\prod_{k=1}^{10^{8}} (k+1)",
    r"\int_0^1 x^{x^{x}} dx",
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
    assert extract_answer(r"\boxed{a} \boxed{\frac{1}{2}}") == r"\frac{1}{2}"


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
    assert [(verdict.value, verdict.outcome) for _, verdict, _ in times] == [(None, "timeout")] * len(HANGS)
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
