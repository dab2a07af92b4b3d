"""Killable worker processes for slow or hostile grading.

A worker is a fresh interpreter (no CUDA context, no re-import of `__main__`, few environment variables, its own
session) that imports its handler once and then forks the process that does the work. At the deadline that process is
killed, whatever it is doing; the next fork has everything imported and takes milliseconds. Tasks and replies are JSON
lines over pipes, so nothing from a hostile task is unpickled here. POSIX only, like the training stack.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import queue
import resource
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

_START_SECONDS = 120.0  # the first import of SymPy on a loaded machine; not counted in any task's deadline
_ORPHAN_SECONDS = 2.0  # a task outlives its deadline by this only if the process that would kill it is gone
_CRASHES = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT)  # how C code ends when stack or memory is used up
_PASSED_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "TZ")


class TaskTimeout(Exception):
    """The task ran into its limit of time, memory or depth, which its answer caused."""


class TaskFailed(Exception):
    """The handler raised, or its process was ended from outside: no fault of the answer."""


class Worker:
    """One worker process; used by one thread at a time."""

    def __init__(self, target: str, memory_bytes: int) -> None:
        environment = {key: os.environ[key] for key in _PASSED_ENVIRONMENT if key in os.environ}
        environment |= {"PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "OMP_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, target, str(memory_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            env=environment,
            start_new_session=True,
        )
        self._task = 0
        self._pid: int | None = None  # the forked process that does the work; None until it says that it is ready
        self._buffer = bytearray()

    def run(self, task: Any, timeout_s: float) -> Any:
        """Reply of the handler to `task` (both JSON values).

        Raises:
            TaskTimeout: Not done after `timeout_s` seconds, or out of memory or stack; the work was killed.
            TaskFailed: The handler raised, or its process was ended from outside.
        """
        try:
            self._await_ready()
            reply = self._answer(task, timeout_s)
        except OSError as error:
            self.close()
            raise TaskFailed(f"the worker process ended: {error}") from error
        if reply is None:
            self._kill()
            raise TaskTimeout(f"killed after {timeout_s:g} s")
        if "result" in reply:
            return reply["result"]
        if "limit" in reply:
            self._pid = None  # the process ended, and another takes its place
            raise TaskTimeout(reply["limit"])
        self._pid = reply.get("ready", self._pid)
        raise TaskFailed(reply.get("error", "the grading process died"))

    @property
    def alive(self) -> bool:
        """Whether the worker can take another task."""
        return self._process.poll() is None

    def close(self) -> None:
        """End the worker and what it forked."""
        self._process.kill()
        self._process.wait()
        self._kill()
        for pipe in (self._process.stdin, self._process.stdout):
            pipe.close()  # type: ignore[union-attr]

    def _await_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while self._pid is None:
            reply = self._read(deadline)
            if reply is None or "fatal" in reply:
                raise OSError(reply["fatal"] if reply else f"no sign of life within {_START_SECONDS:g} s")
            self._pid = reply.get("ready")  # any other line is the late reply of a task that was killed

    def _answer(self, task: Any, timeout_s: float) -> dict[str, Any] | None:
        """The reply to this task and no other, or news of a new grading process; None at the deadline."""
        deadline = time.monotonic() + timeout_s
        self._task += 1
        self._send({"id": self._task, "task": task, "seconds": timeout_s})
        while True:
            reply = self._read(deadline)
            if reply is None or reply.get("id") == self._task:
                return reply
            if reply.get("died") == self._pid or reply.get("ready", self._pid) != self._pid:
                return reply

    def _kill(self) -> None:
        if self._pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._pid, signal.SIGKILL)
        self._pid = None

    def _send(self, message: Any) -> None:
        data = memoryview(json.dumps(message).encode() + b"\n")
        while data:
            data = data[self._process.stdin.write(data) :]  # type: ignore[union-attr]

    def _read(self, deadline: float) -> dict[str, Any] | None:
        """The next message, or None at the deadline."""
        descriptor = self._process.stdout.fileno()  # type: ignore[union-attr]
        searched = 0
        while True:
            if (end := self._buffer.find(b"\n", searched)) >= 0:
                line = bytes(self._buffer[:end])
                del self._buffer[: end + 1]
                searched = 0
                with contextlib.suppress(ValueError):  # half a line, left by a killed process
                    return json.loads(line)
                continue
            searched = len(self._buffer)
            if not select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))[0]:
                return None
            chunk = os.read(descriptor, 1 << 18)
            if not chunk:
                raise OSError("its output was closed")
            self._buffer += chunk


class WorkerPool:
    """A few workers with one handler, started when first needed; safe to use from any thread.

    Args:
        target: Handler as "module:function"; it takes the task and returns the reply, both JSON values.
        size: Most workers at a time.
        memory_bytes: Address space of a worker, everything included.
    """

    def __init__(self, target: str, size: int, memory_bytes: int) -> None:
        self._target, self._size, self._memory_bytes = target, size, memory_bytes
        # Last in, first out: the second worker starts only when two tasks are under way.
        self._idle: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        for _ in range(size):
            self._idle.put(None)

    def run(self, task: Any, timeout_s: float) -> Any:
        """Reply to one task; waits for a free worker first. Raises as `Worker.run`."""
        worker = self._idle.get()
        try:
            if worker is None or not worker.alive:
                worker = Worker(self._target, self._memory_bytes)
            return worker.run(task, timeout_s)
        finally:
            self._idle.put(worker)

    def run_all(self, tasks: Sequence[Any], timeout_s: float) -> list[Any]:
        """Replies in order, with `TaskTimeout` and `TaskFailed` as values in their places."""

        def settle(task: Any) -> Any:
            try:
                return self.run(task, timeout_s)
            except (TaskTimeout, TaskFailed) as error:
                return error

        with ThreadPoolExecutor(self._size) as threads:
            return list(threads.map(settle, tasks))

    def close(self) -> None:
        """End all workers that are not busy."""
        with contextlib.suppress(queue.Empty):
            while True:
                if worker := self._idle.get_nowait():
                    worker.close()


_pools: dict[tuple[int, str, int, int], WorkerPool] = {}
_pools_lock = threading.Lock()


def shared_pool(target: str, size: int, memory_bytes: int) -> WorkerPool:
    """The pool of this process with these settings; a reward holds no processes, so that it pickles."""
    key = (os.getpid(), target, size, memory_bytes)  # a forked child must not read its parent's pipes
    with _pools_lock:
        if key not in _pools:
            _pools[key] = WorkerPool(target, size, memory_bytes)
            atexit.register(_pools[key].close)
        return _pools[key]


def main(target: str, memory_bytes: int) -> None:
    """Entry point of a worker: import the handler, then keep one forked copy at work until the input ends."""
    output = os.dup(1)
    os.dup2(2, 1)  # what a handler prints must not reach the protocol
    try:
        module, name = target.split(":")
        handler = getattr(importlib.import_module(module), name)
    except Exception as error:
        _write(output, {"fatal": f"{type(error).__name__}: {error}"})
        return
    while True:
        child = os.fork()
        if child == 0:
            _work(handler, output, memory_bytes)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code == 0:
            return
        if -code in _CRASHES:
            _write(output, {"died": child, "limit": f"the grading process crashed ({signal.Signals(-code).name})"})


def _work(handler: Callable[[Any], Any], output: int, memory_bytes: int) -> None:
    os.setpgid(0, 0)  # what the handler starts dies with it
    for limit, most in ((resource.RLIMIT_AS, memory_bytes), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        resource.setrlimit(limit, (most, most))
    _discard_input()
    _write(output, {"ready": os.getpid()})
    with open(0, "rb") as tasks:
        for line in tasks:
            message = json.loads(line)
            # By the default disposition SIGALRM ends the process, in C code too: no orphan computes for ever.
            signal.setitimer(signal.ITIMER_REAL, message["seconds"] + _ORPHAN_SECONDS)
            reply = _reply(handler, message["task"])
            signal.setitimer(signal.ITIMER_REAL, 0)
            _write(output, {"id": message["id"]} | reply)
            if "limit" in reply:
                os._exit(1)


def _discard_input() -> None:
    """Drop a task that a killed predecessor had not read: nobody waits for its reply any more."""
    while select.select([0], [], [], 0)[0]:
        if not os.read(0, 1 << 16):
            os._exit(0)


def _reply(handler: Callable[[Any], Any], task: Any) -> dict[str, Any]:
    try:
        return {"result": handler(task)}
    except (MemoryError, RecursionError) as error:
        return {"limit": "out of memory" if isinstance(error, MemoryError) else "nested too deeply"}
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"[:500]}


def _write(output: int, message: Any) -> None:
    data = memoryview(b"\n" + json.dumps(message).encode() + b"\n")
    while data:
        data = data[os.write(output, data) :]


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
