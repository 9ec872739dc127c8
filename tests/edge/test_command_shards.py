"""`edgecam data shards`, and the options of `edgecam train` that belong to large sets."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from edgecam import cli
from edgecam.commands.shards import shards
from training.photo_kit import make_photos


def test_packing_needs_no_torch_and_says_what_to_type_next(tmp_path: Path) -> None:
    photos = make_photos(tmp_path / "photos", count=4)
    (photos / "red" / "[b]empty.jpg").write_bytes(b"")
    code = (
        "import sys\nfrom edgecam.cli import main\ntry:\n    main()\n"
        "finally:\n    print('torch' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "data", "shards", photos, "--out", tmp_path / "s", "--per-shard", "5"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr
    assert "12 photos in 3 shards" in done.stdout
    assert f"edgecam train {tmp_path / 's'}" in done.stdout.replace("\n", "")
    assert "[b]empty.jpg: the file has 0 bytes" in done.stderr
    assert done.stderr.endswith("False\n")
    names = [path.name for path in sorted((tmp_path / "s").iterdir())]
    assert names == ["000000.tar", "000001.tar", "000002.tar", "classes.txt"]


def test_json_names_every_shard_and_what_was_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = make_photos(tmp_path / "photos", count=2)
    (photos / "red" / "words.txt").write_text("no photo")
    shards(photos, tmp_path / "s", per_shard=100, seed=0, json=True)
    (line,) = capsys.readouterr().out.splitlines()
    found = json.loads(line)
    assert found["photos"] == 6
    assert found["shards"] == [str(tmp_path / "s" / "000000.tar")]
    assert [Path(one["path"]).name for one in found["left_out"]] == ["words.txt"]


def test_the_options_of_large_sets_reach_the_trainer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = []
    monkeypatch.setattr("edgecam.commands.train.train", lambda *a, **k: calls.append((a, k)))
    words = "train s/{000..009}.tar --val v --batch 64 --accumulate 4 --save-memory --checkpoint-minutes 2.5"
    cli.app(words.split(), standalone_mode=False)
    (((data, _, options), named),) = calls
    assert (data, named["val"]) == (Path("s/{000..009}.tar"), Path("v"))
    assert (options.batch, options.accumulate, options.save_memory) == (64, 4, True)
    assert options.checkpoint_minutes == 2.5
