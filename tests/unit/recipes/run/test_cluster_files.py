"""Files for clusters: Accelerate reads its own, and the SLURM jobs do what they say with SLURM's commands played."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from quince.recipes.config import load_recipe

ROOT = Path(__file__).parents[4]
ACCELERATE = sorted((ROOT / "scripts" / "accelerate").glob("*.yaml"))
JOBS = {
    "rlvr.sbatch": ["rlvr/tiny_dph_js", "some/model", "seed=1"],
    "sft.sbatch": ["function_calling/qwen3_4b_lora", "seed=1"],
}
SRUN = """#!/usr/bin/env bash
echo "srun $*" >>calls
while [[ "$1" == --* ]]; do shift; done
SLURM_PROCID=0 "$@" & child=$!
trap 'kill -TERM $child' TERM
wait $child; status=$?
if kill -0 $child 2>/dev/null; then wait $child; status=$?; fi
exit $status
"""
TRAINER = """#!/usr/bin/env bash
if [[ "$1" == -c ]]; then exec PYTHON "$@"; fi
echo "train $*" >>calls
stop() { mkdir -p runs/slurm-7/checkpoint-5; exit 75; }
trap stop TERM
case "$(cat behaviour)" in
    finish) exit 0 ;;
    fail) exit 3 ;;
esac
touch started
while true; do sleep 0.05; done
"""
PLAYED = {
    "srun": SRUN,
    "scontrol": '#!/usr/bin/env bash\necho "scontrol $*" >>calls\n[[ "$1" != show ]] || printf "n1\\nn2\\nn3\\n"\n',
    "trl": "#!/usr/bin/env bash\nexec sleep 60\n",
    "quince": '#!/usr/bin/env bash\necho "quince $*" >>calls\n[[ "$1" == show ]] && echo "split:"; true\n',
}


@pytest.mark.parametrize("file", ACCELERATE, ids=lambda file: file.stem)
def test_accelerate_reads_its_files(file):
    from accelerate.commands.config.config_args import load_config_from_file
    from accelerate.utils import DistributedType

    config = load_config_from_file(str(file))
    kinds = {"cpu": "MULTI_GPU", "ddp": "MULTI_GPU", "fsdp2": "FSDP", "zero2": "DEEPSPEED", "zero3": "DEEPSPEED"}
    assert config.distributed_type == DistributedType(kinds[file.stem])
    assert config.num_machines == 1 and config.num_processes == (2 if file.stem == "cpu" else 8)


def test_every_launch_has_its_file():
    assert [file.stem for file in ACCELERATE] == ["cpu", "ddp", "fsdp2", "zero2", "zero3"]


@pytest.fixture
def job(tmp_path):
    """`job(name, behaviour)`: the process of an sbatch script, in a folder where SLURM is played."""
    folder = tmp_path / "bin"
    folder.mkdir()
    played = PLAYED | {"python": TRAINER.replace("PYTHON", sys.executable)}
    for name, text in played.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").write_text("")
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    environment |= {"SLURM_JOB_NODELIST": "n[1-3]", "SLURM_NNODES": "3"}

    def start(name: str, behaviour: str) -> subprocess.Popen:
        (tmp_path / "behaviour").write_text(behaviour)
        command = ["bash", ROOT / "scripts" / "slurm" / name, *JOBS[name]]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL)

    return start


def calls(folder: Path, start: str) -> list[str]:
    return [line for line in (folder / "calls").read_text().splitlines() if line.startswith(start)]


@pytest.mark.parametrize("name", JOBS)
def test_a_job_that_ends_is_not_queued_again(name, job, tmp_path):
    assert job(name, "finish").wait(60) == 0
    assert not calls(tmp_path, "scontrol requeue")
    assert job(name, "fail").wait(60) == 3
    assert not calls(tmp_path, "scontrol requeue")


@pytest.mark.parametrize("name", JOBS)
def test_a_signal_ends_in_a_checkpoint_and_a_resumed_job(name, job, tmp_path):
    running = job(name, "run")
    deadline = time.monotonic() + 60
    while not (tmp_path / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 0
    assert calls(tmp_path, "scontrol requeue") == ["scontrol requeue 7"]
    assert (tmp_path / "runs" / "slurm-7" / "checkpoint-5").is_dir()
    first, *_ = calls(tmp_path, "train")
    assert "--resume" not in first and "seed=1" in first
    job(name, "finish").wait(60)
    assert calls(tmp_path, "train")[-1].endswith("--resume")


@pytest.mark.parametrize("name", JOBS)
def test_the_launch_line_is_one_that_accelerate_takes(name, job, tmp_path):
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    job(name, "finish").wait(60)
    (line,) = calls(tmp_path, "train")
    words = line.split()[3:]  # after: train -m quince.recipes.run.launching
    words[words.index("--config_file") + 1] = str(ROOT / words[words.index("--config_file") + 1])
    arguments, *_ = _validate_launch_command(launch_command_parser().parse_args(words))
    nodes = 2 if name == "rlvr.sbatch" else 3
    assert (arguments.num_machines, arguments.num_processes) == (nodes, nodes * 8)
    assert (arguments.main_process_ip, arguments.machine_rank, arguments.use_fsdp) == ("n1", 0, True)
    module, recipe, *overrides = [arguments.training_script, *arguments.training_script_args]
    kind = load_recipe(recipe).recipe.kind
    assert module == f"quince.recipes.{kind}.train" and "output_dir=runs/slurm-7" in overrides


def test_generation_has_a_node_of_its_own_and_the_split_comes_first(job, tmp_path):
    job("rlvr.sbatch", "finish").wait(60)
    split, *together = calls(tmp_path, "srun")
    train, serve = sorted(together, key=lambda call: "vllm-serve" in call)  # started side by side
    assert "--nodelist=n1 quince split" in split and "output_dir=runs/slurm-7" in split
    assert "--nodelist=n3 trl vllm-serve --model some/model" in serve
    assert "--nodes=2" in train and "--nodelist=n1,n2" in train
    assert "trainer.vllm_server_host=n3" in calls(tmp_path, "train")[0]


def test_a_rented_machine_resumes_from_its_bucket():
    task = yaml.safe_load((ROOT / "scripts" / "skypilot" / "rlvr.yaml").read_text())
    assert task["resources"]["use_spot"] and task["resources"]["job_recovery"]["recover_on_exit_codes"] == [75]
    assert task["file_mounts"]["/runs"]["mode"] == "MOUNT"
    assert "--resume" in task["run"] and "checkpoint-*" in task["run"]
    load_recipe(task["envs"]["RECIPE"])
    assert subprocess.run(["bash", "-n"], input=task["run"] + task["setup"], text=True, check=False).returncode == 0
