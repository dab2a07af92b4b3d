import os
import sys
import threading
import time

import psutil
import pytest
from quince.rewards.workers import TaskFailed, TaskTimeout, WorkerPool, shared_pool

MEMORY = 512 * 2**20


@pytest.fixture
def pool():
    # `subprocess.getoutput` stands for a handler that does what it is told; the worker imports it by name.
    pool = WorkerPool("subprocess:getoutput", size=2, memory_bytes=MEMORY)
    yield pool
    pool.close()


def descendants():
    return {process.pid for process in psutil.Process().children(recursive=True)}


def running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_runs_a_task_and_comes_back(pool):
    assert pool.run("echo hello", 10.0) == "hello"


def test_a_task_past_its_deadline_is_killed_and_its_reply_never_reaches_another_task(pool):
    pool.run("true", 10.0)
    for number in range(5):
        with pytest.raises(TaskTimeout):
            pool.run("while :; do :; done; echo stale", 0.1)
        assert pool.run(f"echo {number}", 10.0) == str(number)


def test_a_deadline_too_short_to_start_leaves_nothing_behind(pool):
    pool.run("true", 10.0)
    for number in range(20):
        with pytest.raises(TaskTimeout):
            pool.run("sleep 9; echo stale", 1e-6)  # on a busy machine `echo` alone may reply before anyone looks
        assert pool.run(f"echo {number}", 10.0) == str(number)


def test_a_handler_that_dies_fails_its_own_task_only(pool):
    with pytest.raises(TaskFailed):
        pool.run("kill -9 $PPID", 10.0)
    assert pool.run("echo after", 10.0) == "after"


def test_a_handler_that_raises_says_what():
    pool = WorkerPool("math:sqrt", size=1, memory_bytes=MEMORY)
    with pytest.raises(TaskFailed, match="ValueError"):
        pool.run(-1.0, 10.0)
    assert pool.run(9.0, 10.0) == 3.0
    pool.close()


def test_out_of_memory_is_a_time_out_and_not_an_answer():
    pool = WorkerPool("builtins:bytearray", size=1, memory_bytes=MEMORY)
    with pytest.raises(TaskTimeout, match="memory"):
        pool.run(10 * MEMORY, 10.0)
    pool.close()


@pytest.mark.parametrize(("target", "task"), [("copy:deepcopy", "deep"), ("faulthandler:_sigsegv", True)])
def test_out_of_stack_is_the_task_s_limit_and_the_next_one_is_served(target, task):
    if task == "deep":
        for _ in range(900):
            task = [task]
    pool = WorkerPool(target, size=1, memory_bytes=MEMORY)
    for _ in range(2):
        with pytest.raises(TaskTimeout, match=r"deep|SIGSEGV"):
            pool.run(task, 10.0)
    pool.close()


def test_a_handler_that_cannot_be_imported_says_so():
    pool = WorkerPool("quince.no_such_module:grade", size=1, memory_bytes=MEMORY)
    with pytest.raises(TaskFailed, match="no_such_module"):
        pool.run(1, 10.0)


def test_the_environment_is_scrubbed_and_files_cannot_grow(pool, monkeypatch, tmp_path):
    monkeypatch.setenv("SECRET_TOKEN", "canary")
    assert "canary" not in pool.run("env", 10.0)
    pool.run(f"echo data > {tmp_path / 'written'}", 10.0)
    assert (tmp_path / "written").read_bytes() == b""


def test_tasks_run_side_by_side_and_come_back_in_order(pool):
    pool.run_all(["true", "true"], 10.0)
    tasks = ["echo a", "while :; do :; done", "echo b", "echo c"]
    first, hung, *rest = pool.run_all(tasks, 0.5)
    assert (first, *rest) == ("a", "b", "c") and isinstance(hung, TaskTimeout)


def test_from_a_thread_that_ends_before_the_worker_does(pool):
    replies = []
    for _ in range(2):
        thread = threading.Thread(target=lambda: replies.append(pool.run("echo $PPID", 10.0)))
        thread.start()
        thread.join()
    assert replies[0] == replies[1]  # the same process served both


def test_closing_leaves_no_process(pool):
    before = descendants()
    pool.run_all(["true"] * 4, 10.0)
    with pytest.raises(TaskTimeout):
        pool.run("while :; do :; done", 0.1)
    assert descendants() > before
    pool.close()
    assert descendants() <= before


def test_a_worker_ends_with_the_process_that_started_it():
    script = (
        "import os, sys; from quince.rewards.workers import WorkerPool;"
        "pool = WorkerPool('subprocess:getoutput', 1, 2**29); print(pool.run('echo $PPID', 30.0), flush=True);"
        "os._exit(0)"
    )
    reader, writer = os.pipe()
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-c", script],
        os.environ,
        file_actions=[(os.POSIX_SPAWN_DUP2, writer, 1)],
    )
    os.close(writer)
    with os.fdopen(reader) as output:
        worker = int(output.readline())
    deadline = time.monotonic() + 20
    while running(worker) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not running(worker)


def test_one_pool_for_one_setting():
    assert shared_pool("math:sqrt", 1, MEMORY) is shared_pool("math:sqrt", 1, MEMORY)
    assert shared_pool("math:sqrt", 1, MEMORY) is not shared_pool("math:sqrt", 2, MEMORY)
