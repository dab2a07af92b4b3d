"""What runs on one machine can be reached from that machine alone, and two trainings do not meet each other."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.slow

STEPS = [
    "trainer.max_steps=2",
    "trainer.per_device_train_batch_size=8",
    "divergence={kind: jensen_shannon, weight: 0.5}",
]
LAUNCHES = {"plain": "launch={processes: 2}", "accelerate": "launch={processes: 2, accelerate_config: cpu}"}


def start(*arguments: object, log: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "quince.recipes.cli", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("w") as file:
        return subprocess.Popen(command, env=environment, stdout=file, stderr=subprocess.STDOUT)


def listening(process: psutil.Process) -> set[str]:
    """The addresses at which a process and those that it started listen now, Unix sockets aside."""
    found: set[str] = set()
    with suppress(psutil.NoSuchProcess):
        for member in [process, *process.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                found |= {place.laddr.ip for place in member.net_connections() if place.status == psutil.CONN_LISTEN}
    return found


def watched(programs: dict[str, subprocess.Popen], limit_s: float = 400) -> dict[str, set[str]]:
    """Wait for programs to end; where each of them listened meanwhile."""
    found: dict[str, set[str]] = {name: set() for name in programs}
    until = time.monotonic() + limit_s
    while any(program.poll() is None for program in programs.values()) and time.monotonic() < until:
        for name, program in programs.items():
            found[name] |= listening(psutil.Process(program.pid)) if program.poll() is None else set()
        time.sleep(0.1)
    return found


def test_two_trainings_at_once_listen_on_the_loopback_interface_only(toy, tmp_path):
    toy()
    logs = {name: tmp_path / f"{name}.log" for name in LAUNCHES}
    programs = {}
    for name, launch in LAUNCHES.items():
        folder = f"output_dir={tmp_path / name / 'run'}"  # apart, so that each makes its own split
        programs[name] = start("train", tmp_path / "toy.yaml", folder, *STEPS, launch, log=logs[name])
    found = watched(programs)
    for name, program in programs.items():
        assert program.returncode == 0, logs[name].read_text()[-3000:]
        assert found[name], "they talk to each other, so they listen"
        assert all(ip_address(address).is_loopback for address in found[name]), (name, found[name])
