"""torchrun as people start it: one voice, one checkpoint, and an end for all when one ends."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import torch

from training.photo_kit import make_photos

SMALL = ("--backbone", "mobilenet_v3_small", "--no-pretrained", "--size", "64", "--batch", "8")


@contextmanager
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A run of two processes with epochs enough that it does not end by itself; what it says is in a file."""
    photos = make_photos(tmp_path / "photos", count=8)
    said = tmp_path / "said.txt"
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "edgecam"]
    command += ["train", str(photos), "--out", str(tmp_path / "run"), "--epochs", "5000", *SMALL]
    paths = os.pathsep.join(path for path in sys.path if path)
    with said.open("wb") as file:
        process = subprocess.Popen(
            command,
            stderr=file,
            env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        try:
            wait_for(lambda: "epoch 1/5000" in said.read_text(), process)
            yield process, said
        finally:
            for left in (
                (*psutil.Process(process.pid).children(recursive=True),) if process.poll() is None else ()
            ):
                left.kill()
            process.kill()
            process.wait()


def wait_for(happened: object, process: subprocess.Popen[bytes]) -> None:
    assert callable(happened)
    end = time.monotonic() + 200
    while not happened():
        assert process.poll() is None
        assert time.monotonic() < end
        time.sleep(0.05)


def test_sigterm_to_torchrun_saves_once_and_says_how_to_go_on(tmp_path: Path) -> None:
    with started(tmp_path) as (process, said):
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=100) != 0
    text = said.read_text()
    assert text.count("Stopped and saved") == 1
    assert text.count("epoch 1/5000") == 1
    assert re.search(r"torchrun --nproc-per-node 2 -m edgecam train \S+photos --out \S+run --resume", text)
    assert "Warning" not in text.replace("W1", "")
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert state["position"] >= [1, 0]
    assert not [path.name for path in (tmp_path / "run").iterdir() if path.name.startswith(".")]


def test_a_process_that_dies_ends_the_others_with_a_message(tmp_path: Path) -> None:
    with started(tmp_path) as (process, said):
        workers = psutil.Process(process.pid).children()
        (second,) = [worker for worker in workers if worker.environ().get("RANK") == "1"]
        second.kill()
        assert process.wait(timeout=100) != 0
        assert not [worker for worker in workers if worker.is_running()]
    text = said.read_text()
    assert (
        text.count("Another process of this run ended") <= 1
    )  # torchrun may end the leader before it can say so
    assert "SIGKILL" in text
    assert "did not expect this" not in text
    assert (tmp_path / "run" / "checkpoint.pt").exists()


def test_a_setting_that_is_wrong_is_explained_once(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "edgecam"]
    command += ["train", str(tmp_path / "nowhere"), "--out", str(tmp_path / "run")]
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths}, check=False
    )
    assert done.returncode != 0
    assert done.stderr.count("nowhere is not a folder") == 1
    assert not (tmp_path / "run").exists()
