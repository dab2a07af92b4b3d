"""A headless Chromium driven over its own pipe, for what only a browser can say of a page; no package is needed.

The DevTools protocol speaks JSON messages ended by a zero byte, on file descriptors 3 and 4 of the browser.
"""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
_FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-dev-shm-usage --disable-extensions --no-first-run "
    "--disable-background-networking --disable-component-update --hide-scrollbars --remote-debugging-pipe"
).split()
_CODES = {"ArrowDown": 40, "ArrowUp": 38, "Home": 36, "End": 35}


class BrowserError(RuntimeError):
    """The browser did not answer, or a script in the page failed."""


def find_chromium() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def new_page(executable: str, seconds: float = 120) -> Iterator[Page]:
    """A page of a fresh browser, which ends with the block; any one answer may take so many seconds."""
    (commands, write), (read, answers) = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        line = f'exec "$@" 3<&{commands} 4>&{answers}'  # the shell gives the pipes the numbers 3 and 4
        command = ["bash", "-c", line, "bash", executable, *_FLAGS, f"--user-data-dir={profile}", "about:blank"]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, pass_fds=(commands, answers), **quiet)
        os.close(commands)
        os.close(answers)
        try:
            yield Page(write, read, seconds)
        finally:
            os.close(write)  # ends the browser
            os.close(read)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


class Page:
    """One tab, with the `errors` that it threw or logged, and the addresses that it asked for (`requests`)."""

    def __init__(self, write: int, read: int, seconds: float) -> None:
        self.errors: list[str] = []
        self.requests: list[str] = []
        self._write, self._read, self._seconds = write, read, seconds
        self._buffer, self._id, self._loaded = b"", 0, False
        self._session: str | None = None
        target = next(t for t in self._call("Target.getTargets")["targetInfos"] if t["type"] == "page")
        self._session = self._call("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def view(self, width: int, height: int = 900, dark: bool = False) -> None:
        """Set the size in CSS pixels, and whether the reader prefers dark pages."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._call("Emulation.setEmulatedMedia", features=[scheme])

    def open(self, address: str) -> None:
        """Load a page and wait for its load event."""
        self._loaded = False
        if error := self._call("Page.navigate", url=address).get("errorText"):
            raise BrowserError(f"{address} · {error}")
        while not self._loaded:
            self._receive(address)

    def evaluate(self, script: str) -> Any:
        """Value of an expression, which may be a promise; raises `BrowserError` if it throws."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise BrowserError(_of_exception(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """Value of an expression as soon as it is true."""
        end = time.monotonic() + self._seconds
        while not (value := self.evaluate(script)):
            if time.monotonic() > end:
                raise BrowserError(f"{script} · still {value!r} after {self._seconds:g} s")
            time.sleep(0.01)
        return value

    def cpu_seconds(self) -> float:
        """CPU time of all processes of the browser so far; unlike time on the clock it does not wait for others."""
        return sum(process["cpuTime"] for process in self._call("SystemInfo.getProcessInfo")["processInfo"])

    def key(self, name: str) -> None:
        """Press a key, such as ArrowDown."""
        for kind in ("keyDown", "keyUp"):
            self._call("Input.dispatchKeyEvent", type=kind, key=name, code=name, windowsVirtualKeyCode=_CODES[name])

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._id += 1
        message: dict[str, Any] = {"id": self._id, "method": method, "params": parameters}
        if self._session and not method.startswith("SystemInfo"):  # which asks the browser, not the tab
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._write, data) :]
        while (answer := self._receive(method)).get("id") != self._id:
            pass
        if "error" in answer:
            raise BrowserError(f"{method} · {answer['error']['message']}")
        return answer["result"]

    def _receive(self, what: str) -> dict[str, Any]:
        """The next message; events are noted."""
        end = time.monotonic() + self._seconds
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            if not (data := os.read(self._read, 1 << 16) if ready else b""):
                raise BrowserError(f"{what} · no answer within {self._seconds:g} s")
            self._buffer += data
        text, _, self._buffer = self._buffer.partition(b"\0")
        message = json.loads(text)
        parameters = message.get("params", {})
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self.requests.append(parameters["request"]["url"])
            case "Runtime.exceptionThrown":
                self.errors.append(_of_exception(parameters["exceptionDetails"]))
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                self.errors.append(parameters["entry"]["text"])
            case "Runtime.consoleAPICalled" if parameters["type"] in ("error", "assert"):
                self.errors.append(str([a.get("value", a.get("description")) for a in parameters["args"]]))
        return message


def _of_exception(details: dict[str, Any]) -> str:
    return details.get("exception", {}).get("description") or details["text"]
