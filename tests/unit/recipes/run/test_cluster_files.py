"""Files for clusters: Accelerate reads its own, and the SLURM jobs do what they say with SLURM's commands played."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import pytest
import yaml
from quince.recipes.config import library_recipes, load_recipe
from quince.recipes.plan.make_plan import make_plan

ROOT = Path(__file__).parents[4]
ACCELERATE = sorted((ROOT / "scripts" / "accelerate").glob("*.yaml"))
JOBS = {
    "rlvr.sbatch": ["rlvr/llama31_8b_sql_dph_js", "some/model", "seed=1"],
    "sft.sbatch": ["function_calling/bggpt_27b_lora", "seed=1"],
}
NODES = {"rlvr.sbatch": 2, "sft.sbatch": 1}
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
QUINCE = """#!/usr/bin/env bash
echo "quince $*" >>calls
if [[ "$1" != split ]]; then exec PYTHON -m quince.recipes.cli "$@"; fi
if [[ "$(cat behaviour)" == split ]]; then touch started; exec sleep 60; fi
"""
PLAYED = {
    "srun": SRUN,
    "scontrol": '#!/usr/bin/env bash\necho "scontrol $*" >>calls\n[[ "$1" != show ]] || cat nodes\n',
    "trl": "#!/usr/bin/env bash\nexec sleep 60\n",
    "python": TRAINER,
    "quince": QUINCE.replace("PYTHON", sys.executable),
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
    (tmp_path / "scripts").symlink_to(ROOT / "scripts")
    for name, text in PLAYED.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "activate").write_text("")
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    environment["SLURM_JOB_NODELIST"] = "n[1-9]"

    def start(name: str, behaviour: str, *more: str, nodes: int = 0) -> subprocess.Popen:
        (tmp_path / "behaviour").write_text(behaviour)
        (tmp_path / "nodes").write_text("".join(f"n{number + 1}\n" for number in range(nodes or NODES[name])))
        command = ["bash", ROOT / "scripts" / "slurm" / name, *JOBS[name], *more]
        pipe = subprocess.PIPE
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=pipe, text=True
        )

    return start


def calls(folder: Path, start: str) -> list[str]:
    return [line for line in (folder / "calls").read_text().splitlines() if line.startswith(start)]


@pytest.mark.parametrize("name", JOBS)
def test_a_job_that_ends_is_not_queued_again(name, job, tmp_path):
    assert job(name, "finish").wait(60) == 0
    assert not calls(tmp_path, "scontrol requeue")
    assert job(name, "fail").wait(60) == 3
    assert not calls(tmp_path, "scontrol requeue")


def stopped(running: subprocess.Popen, folder: Path) -> int:
    """The exit code of a job that gets its signal while a part of it runs."""
    deadline = time.monotonic() + 60
    while not (folder / "started").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    return running.wait(60)


@pytest.mark.parametrize("name", JOBS)
def test_a_signal_ends_in_a_checkpoint_and_a_resumed_job(name, job, tmp_path):
    assert stopped(job(name, "run"), tmp_path) == 0
    assert calls(tmp_path, "scontrol requeue") == ["scontrol requeue 7"]
    assert (tmp_path / "runs" / "slurm-7" / "checkpoint-5").is_dir()
    first, *_ = calls(tmp_path, "train")
    assert "--resume" not in first and "seed=1" in first
    job(name, "finish").wait(60)
    assert calls(tmp_path, "train")[-1].endswith("--resume")


def test_a_signal_during_the_split_sends_the_job_back_too(job, tmp_path):
    assert stopped(job("rlvr.sbatch", "split"), tmp_path) == 0
    assert calls(tmp_path, "scontrol requeue") == ["scontrol requeue 7"] and not calls(tmp_path, "train")


def launched(folder: Path) -> tuple[Namespace, list[str]]:
    """What Accelerate makes of the launch line, and what follows `-m quince.recipes.cli`."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    (line,) = calls(folder, "train")
    words = line.split()[3:]  # after: train -m quince.recipes.run.launching
    words[words.index("--config_file") + 1] = str(ROOT / words[words.index("--config_file") + 1])
    arguments, *_ = _validate_launch_command(launch_command_parser().parse_args(words))
    assert arguments.training_script == "quince.recipes.cli"
    return arguments, arguments.training_script_args


@pytest.mark.parametrize("name", JOBS)
def test_the_launch_line_is_one_that_accelerate_takes(name, job, tmp_path):
    assert job(name, "finish").wait(60) == 0
    arguments, words = launched(tmp_path)
    assert (arguments.num_machines, arguments.num_processes) == (1, 8)
    assert (arguments.main_process_ip, arguments.machine_rank, arguments.use_fsdp) == ("n1", 0, True)
    assert words[:2] == ["train", JOBS[name][0]] and "output_dir=runs/slurm-7" in words
    assert load_recipe(words[1], words[2:]).recipe.launch.processes == 8


def test_a_recipe_chooses_what_is_sharded(job, tmp_path):
    assert job("sft.sbatch", "finish", "launch.accelerate_config=ddp").wait(60) == 0
    assert launched(tmp_path)[0].use_fsdp is False


@pytest.mark.parametrize("name", JOBS)
def test_more_nodes_than_the_recipe_has_processes_for_are_refused_at_once(name, job, tmp_path):
    running = job(name, "finish", nodes=3)
    message = running.communicate(timeout=60)[1]
    processes = 16 if name == "rlvr.sbatch" else 24
    assert running.returncode == 2 and f"8 in the recipe, {processes} in this launch" in message
    assert not calls(tmp_path, "train")


def test_more_nodes_keep_the_batch(job, tmp_path):
    fitted = ["launch.processes=16", "trainer.gradient_accumulation_steps=1"]
    assert job("sft.sbatch", "finish", *fitted, nodes=2).wait(60) == 0
    assert launched(tmp_path)[0].num_processes == 16


def test_generation_has_a_node_of_its_own_and_the_split_comes_first(job, tmp_path):
    job("rlvr.sbatch", "finish", "launch.processes=16", "trainer.gradient_accumulation_steps=8", nodes=3).wait(60)
    split, *together = calls(tmp_path, "srun")
    train, serve = sorted(together, key=lambda call: "vllm-serve" in call)  # started side by side
    assert "--nodelist=n1 quince split" in split and "output_dir=runs/slurm-7" in split
    assert "--nodelist=n3 trl vllm-serve --model some/model" in serve
    assert "--nodes=2" in train and "--nodelist=n1,n2" in train
    assert "trainer.vllm_server_host=n3" in calls(tmp_path, "train")[0]


# --- the GPUs that a file asks for ------------------------------------------------------------------------------------

SERVER = ["trainer.use_vllm=true", "trainer.vllm_mode=server", "trainer.vllm_server_host=n3"]


def fits(recipe: str, gpu: str, *overrides: str) -> bool:
    plan = make_plan(load_recipe(recipe, overrides), gpu)
    (verdict,) = [line for line in plan.splitlines() if line.startswith("fits?")]
    return " fits on 8 x " in verdict


def eight_processes(*kinds: str) -> list[str]:
    """The shipped recipes for eight GPUs of one machine."""
    recipes = {name: load_recipe(name).recipe for name in library_recipes()}
    return [name for name, r in recipes.items() if r.kind in kinds and r.launch.processes == 8]


@pytest.mark.parametrize("name", JOBS)
def test_the_gpus_of_a_job_are_those_that_plan_accepts(name):
    (gpu,) = re.findall(r"#SBATCH --gpus-per-node=(\w+):8\n", (ROOT / "scripts" / "slurm" / name).read_text())
    kinds, overrides = (["rlvr"], SERVER) if name == "rlvr.sbatch" else (["sft", "dpo"], [])
    recipes = eight_processes(*kinds)
    assert JOBS[name][0] in recipes and all(fits(recipe, gpu, *overrides) for recipe in recipes)


TASK = yaml.safe_load((ROOT / "scripts" / "skypilot" / "rlvr.yaml").read_text())


def test_rented_gpus_are_those_that_plan_accepts():
    assert TASK["resources"]["accelerators"]
    recipes = eight_processes("rlvr")
    assert TASK["envs"]["RECIPE"] in recipes
    for gpu, count in TASK["resources"]["accelerators"].items():
        assert count == 8 and all(fits(recipe, gpu.lower()) for recipe in recipes), gpu


def test_a_rented_machine_asks_for_no_secret():
    assert None not in (*TASK["envs"].values(), *TASK["secrets"].values())
    assert subprocess.run(["bash", "-n"], input=TASK["run"] + TASK["setup"], text=True, check=False).returncode == 0
    assert TASK["resources"]["use_spot"] and TASK["resources"]["job_recovery"]["recover_on_exit_codes"] == [75]


RENTED = """#!/usr/bin/env bash
echo "$*" >>calls
folder=runs/rlvr/own step=1
[[ " $* " != *" --resume "* ]] || step=2
mkdir -p "$folder/checkpoint-$step" "$folder/checkpoints.partial" runs/rlvr/splits/a
touch "$folder/checkpoint-$step/weights" "$folder/reference.safetensors" runs/rlvr/splits/a/split.json
echo "step $step" >>"$folder/metrics.jsonl"
[[ $step == 2 ]] || exit 75
rm -r "$folder/checkpoint-1" && mkdir "$folder/model"
"""


def test_a_rented_machine_goes_on_from_what_is_whole_in_its_bucket(tmp_path):
    bucket = tmp_path / "bucket" / "rlvr" / "own"
    (bucket / "checkpoint-7").mkdir(parents=True)  # without its mark: the machine was taken while it was copied
    environment = {**os.environ, "RECIPE": "rlvr/own"}
    for code, machine in ((75, "first"), (0, "second")):
        folder = tmp_path / machine
        (folder / ".venv" / "bin").mkdir(parents=True)
        quince = folder / ".venv" / "bin" / "quince"
        quince.write_text(RENTED)
        quince.chmod(0o755)
        (folder / ".venv" / "bin" / "activate").write_text(f"PATH={quince.parent}:$PATH")
        script = TASK["run"].replace("/bucket", str(tmp_path / "bucket"))
        done = subprocess.run(
            ["bash", "-c", script], cwd=folder, env=environment, stdout=subprocess.DEVNULL, timeout=60
        )
        assert done.returncode == code
    assert (folder / "calls").read_text() == "train rlvr/own output_dir=runs/rlvr/own --resume\n"
    assert (bucket / "metrics.jsonl").read_text() == "step 1\nstep 2\n"
    run = folder / "runs" / "rlvr" / "own"
    assert (run.parent / "splits" / "a" / "split.json").is_file() and (run / "reference.safetensors").is_file()
    assert not (run / "checkpoint-7").exists()
    assert sorted(path.name for path in bucket.glob("*.whole")) == ["checkpoint-2.whole"]
    assert sorted(path.name for path in bucket.glob("checkpoint-?")) == ["checkpoint-2", "checkpoint-7"]
    assert (bucket / "model").is_dir()
