"""kill -9 and Ctrl-C at any moment of `build-engine`: the old bundle or the new one, never a mixture."""

import os
import subprocess
import sys
from pathlib import Path

from conftest import Models

TIMES = 3


def test_a_build_that_is_ended_leaves_the_old_bundle_or_the_new_one(
    run_folder: Path, models: Models, tmp_path: Path
) -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    kit = str(Path(__file__).with_name("killed_kit.py"))
    arguments = [run_folder, models.folder / "models", tmp_path / "x.edgecam", 7, TIMES]
    done = subprocess.run(
        [sys.executable, kit, *map(str, arguments)],
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *rows, last = [line.split("\t") for line in done.stdout.splitlines()]
    assert len(rows) == 2 * TIMES
    for how, told, side, left in rows:
        assert side in {"old", "new"}
        assert told in {"exit 0", "killed" if how == "SIGKILL" else "exit 130"}, done.stderr
        assert side == "new" or told != "exit 0"
        # Ctrl-C cleans up behind itself; kill -9 cannot, and the next build does.
        assert int(left) <= (how == "SIGKILL")
    assert any(told == "killed" for _, told, *_ in rows)
    assert last == ["last", "other.edgecam", "x.edgecam"]
