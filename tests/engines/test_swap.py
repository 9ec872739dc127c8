"""One bundle replaced by another: whoever dies when, one of them stands there, whole."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from edge.loop_kit import make_bundle
from edgecam_engines import swap
from edgecam_engines.bundle import open_bundle
from edgecam_engines.errors import BundleError
from edgecam_engines.place import WorkFolder, check_out, swap_in


@pytest.mark.parametrize("way", ["exchange", "aside"])
def test_killed_at_any_step_in_the_file_system_it_leaves_the_old_or_the_new(tmp_path: Path, way: str) -> None:
    paths = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("swap_kit.py")), str(tmp_path), way],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *found, last, beside = done.stdout.splitlines()
    assert len(found) > 40  # each a process that died at another step
    assert found == sorted(found, reverse=True)  # the old one, and from one step on the new one
    assert set(found) == {"old", "new"}
    assert last == "new"
    assert beside == "x.edgecam"  # what the killed left was swept away by the one that was not


def test_two_folders_change_places(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).touch()
    assert swap.exchange(tmp_path / "a", tmp_path / "b")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["b"]
    assert [p.name for p in (tmp_path / "b").iterdir()] == ["a"]
    with pytest.raises(FileNotFoundError):
        swap.exchange(tmp_path / "a", tmp_path / "c")


def test_a_bundle_put_aside_by_a_process_that_died_is_put_back_by_whoever_opens_it(
    fixed_bundle: Path,
) -> None:
    aside = fixed_bundle.with_name(f".{fixed_bundle.name}.replaced")
    fixed_bundle.rename(aside)
    assert open_bundle(fixed_bundle).manifest.name == "colours"
    assert not aside.exists()


def test_a_bundle_that_was_deleted_is_not_brought_back(fixed_bundle: Path) -> None:
    fixed_bundle.rename(fixed_bundle.with_name("elsewhere"))
    with pytest.raises(BundleError, match="does not exist"):
        open_bundle(fixed_bundle)


def test_the_work_of_a_living_process_is_not_swept_away(tmp_path: Path) -> None:
    out = tmp_path / "x.edgecam"
    with WorkFolder(out) as living:
        (living / "half").touch()
        dead = tmp_path / ".x-dead.building"
        (dead / "models").mkdir(parents=True)
        other = tmp_path / ".y-dead.building"
        other.mkdir()
        with WorkFolder(out):
            assert (living / "half").exists()
            assert not dead.exists()
            assert other.exists()  # another bundle's


def test_a_link_to_a_bundle_is_replaced_and_what_it_led_to_stays(fixed_bundle: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.edgecam"
    link.symlink_to(fixed_bundle)
    check_out(link)
    with WorkFolder(link) as folder:
        make_bundle(folder / "new.edgecam")
        swap_in(folder / "new.edgecam", link)
    assert not link.is_symlink()
    assert open_bundle(link).manifest.name == "new"
    assert open_bundle(fixed_bundle).manifest.name == "colours"
    assert sorted(p.name for p in tmp_path.iterdir()) == [fixed_bundle.name, "link.edgecam"]


def test_whoever_reads_while_bundles_are_replaced_finds_one_of_them(tmp_path: Path) -> None:
    out = make_bundle(tmp_path / "x.edgecam", stride=8)
    over = threading.Event()

    def replace() -> None:
        for number in range(60):
            with WorkFolder(out) as folder:
                swap_in(make_bundle(folder / "in.edgecam", stride=(8, 16)[number % 2]), out)
        over.set()

    writer = threading.Thread(target=replace)
    writer.start()
    opened = 0
    while not over.is_set():
        try:
            opened += bool(open_bundle(out).manifest.name)
        except BundleError as error:  # replaced twice during one reading
            assert "Copy it again" in str(error)  # noqa: PT017
    writer.join()
    assert opened > 5
    assert open_bundle(out).manifest.feature_dhw[1] == 4
