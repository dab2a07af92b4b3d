"""The command that starts several processes."""

from __future__ import annotations

import pytest
from quince.recipes.config.model import Launch
from quince.recipes.launching import launch_command


@pytest.fixture(autouse=True)
def _not_launched(monkeypatch):
    monkeypatch.delenv("LOCAL_RANK", raising=False)


def test_one_process_trains_itself():
    assert launch_command(Launch(), ["r"]) == []


def test_a_launched_process_does_not_launch_again(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert launch_command(Launch(processes=2), ["r"]) == []


def test_several_processes_get_the_same_arguments():
    command = launch_command(Launch(processes=2), ["rlvr/tiny_grpo", "seed=1", "--resume"])
    assert command[:4] == ["accelerate", "launch", "--num_processes", "2"]
    assert command[-6:] == ["-m", "quince.recipes.cli", "train", "rlvr/tiny_grpo", "seed=1", "--resume"]
    assert "--multi_gpu" in command


def test_a_shipped_name_becomes_a_file():
    command = launch_command(Launch(processes=8, accelerate_config="fsdp2"), ["r"])
    assert command[command.index("--config_file") + 1].endswith("_accelerate/fsdp2.yaml")
    assert "--multi_gpu" not in command
