"""Whatever is done to a file, it is opened rightly or refused in words: no crash, no hang, nothing written.

The cases run in a process of their own, so that a crash of native code or a hang is found, and its number.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SEED = 5
CASES = {
    "bundle": 60, "manifest": 200, "signed": 150, "onnx": 200, "quantized": 60, "graph": 200, "head": 200,
    "run": 200,
}  # fmt: skip
REFUSALS = {
    "BundleDamaged", "BundleError", "BundleTooNew", "EngineError", "BackendUnavailable", "TrainingError",
    "DataError",
}  # fmt: skip


@pytest.mark.parametrize("kind", CASES)
def test_damaged_files_are_refused_in_words_or_opened(tmp_path: Path, kind: str) -> None:
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("fuzz_kit.py")), kind, str(SEED), "0", str(CASES[kind]),
         str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    told = done.stdout.splitlines()
    assert done.returncode == 0, (
        f"{kind} case {told[-1:]} ended with {done.returncode}:\n{done.stderr[-3000:]}"
    )
    answers = told[1::2]
    assert len(answers) == CASES[kind]
    assert set(answers) <= {*REFUSALS, "opened"}
    assert len(set(answers) & REFUSALS) >= 1  # the damage was felt
