"""Debian packages: scripts stand in for apt and dpkg; one small package is fetched for real if it can be."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import pytest

from edgecam_engines.errors import DataError, OutputError
from edgecam_training.composite import backgrounds, stamps
from edgecam_training.composite.packages import Package, fetch
from edgecam_training.data import cache_folder
from training.composite_kit import grey, save

KEPT = cache_folder()  # the user's own, before any test turns it away
TOY = Package(name="toy-pictures", pictures="usr/share/toys", licence="free", holders="nobody")
Tools = Callable[[str, str], None]

# What apt-get and dpkg do here: print a line with the size, copy an archive, unpack it.
APT = """
case "$*" in
  *--print-uris*) echo "'http://a.example/toy.deb' toy-pictures_1%3a2.0-1_all.deb 2000000 SHA512:00" ;;
  *) : > toy-pictures_1%3a2.0-1_all.deb; echo fetched >> "$LOG" ;;
esac
"""
DPKG = 'mkdir -p "$3" && cp -r "$TREE"/. "$3"'


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tools:
    """Puts an apt-get and a dpkg of this text first in PATH; the package holds two pictures and a sound."""
    tree = tmp_path / "tree"
    save(tree / TOY.pictures / "cars" / "red.png", grey(0))
    save(tree / TOY.pictures / "blue.jpg", grey(1))
    (tree / TOY.pictures / "blue.ogg").write_bytes(b"moo")
    monkeypatch.setenv("TREE", str(tree))
    monkeypatch.setenv("LOG", str(tmp_path / "log"))
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")

    def install(apt: str, dpkg: str) -> None:
        for name, text in {"apt-get": apt, "dpkg": dpkg}.items():
            script = tmp_path / "bin" / name
            script.parent.mkdir(exist_ok=True)
            script.write_text(f"#!/bin/sh\n{text}\n")
            script.chmod(0o755)

    install(APT, DPKG)
    return install


def test_a_package_is_fetched_once_and_only_its_pictures_are_kept(tools: Tools, tmp_path: Path) -> None:
    found = fetch(TOY, tmp_path / "cache")
    assert found.version == "1:2.0-1"
    kept = [p.relative_to(found.pictures).as_posix() for p in found.pictures.rglob("*") if p.is_file()]
    assert sorted(kept) == ["blue.jpg", "cars/red.png"]
    assert fetch(TOY, tmp_path / "cache") == found
    assert (tmp_path / "log").read_text() == "fetched\n"
    assert [p.name for p in (tmp_path / "cache" / "debian").iterdir()] == ["toy-pictures"]


@pytest.mark.parametrize(
    ("apt", "dpkg", "words"),
    [
        ("echo 'E: Unable to locate package toy-pictures' >&2; exit 100", DPKG, "Unable to locate package"),
        (APT.replace(": >", "echo 'Temporary failure resolving' >&2; exit 100 #"), DPKG, "failure resolving"),
        (APT, "echo 'no space left' >&2; exit 2", "no space left"),
        (APT, "mkdir -p $3/usr/share", "no folder usr/share/toys"),
    ],
)
def test_what_goes_wrong_is_told_and_nothing_is_left(
    tools: Tools, tmp_path: Path, apt: str, dpkg: str, words: str
) -> None:
    tools(apt, dpkg)
    with pytest.raises(DataError, match="toy-pictures") as caught:
        fetch(TOY, tmp_path / "cache")
    assert words in str(caught.value)
    assert list((tmp_path / "cache" / "debian").iterdir()) == []
    tools(APT, DPKG)
    assert fetch(TOY, tmp_path / "cache").pictures.is_dir()


@pytest.mark.parametrize("tool", ["apt-get", "dpkg"])
def test_where_there_is_no_apt_or_dpkg_the_message_says_what_else_works(
    tools: Tools, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin" / tool).unlink()
    with pytest.raises(DataError, match=f"{tool} is not here") as caught:
        fetch(TOY, tmp_path / "cache")
    assert "--cutouts DIR --backgrounds DIR" in str(caught.value)


def test_a_half_fetched_folder_is_fetched_again(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "cache" / "debian" / TOY.name / "pictures" / "old").mkdir(parents=True)
    found = fetch(TOY, tmp_path / "cache")
    assert not (found.pictures / "old").exists()
    assert (found.pictures / "blue.jpg").is_file()


def test_a_cache_that_cannot_be_written_is_told(tools: Tools, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(OutputError, match="XDG_CACHE_HOME"):
        fetch(TOY, tmp_path / "cache")


# -- what is chosen from the real ones

STAMPS = {name for names in stamps.CHOSEN.values() for name in names}
STAMPS_OUT = [name for names in stamps.LEFT_OUT.values() for name in names]
PHOTOS = {name for names in backgrounds.CHOSEN.values() for name in names}
PHOTOS_OUT = [name for names in backgrounds.LEFT_OUT.values() for name in names]


def test_there_are_ten_classes_and_each_cut_out_stands_once() -> None:
    assert set(stamps.CHOSEN) == {
        "mammal", "bird", "fruit", "flower", "vehicle", "vegetable", "sea", "tool", "instrument", "insect",
    }  # fmt: skip
    everything = [*(name for names in stamps.CHOSEN.values() for name in names), *stamps.NEUTRAL, *STAMPS_OUT]
    assert len(set(everything)) == len(everything)
    assert not [name for name in (*STAMPS, *stamps.NEUTRAL) if stamps.passed_over(name)]


def test_families_are_of_one_class() -> None:
    for family in stamps.KIN:
        assert any(set(family) <= set(names) for names in stamps.CHOSEN.values())


@pytest.mark.parametrize("name", ["animals/birds/cartoon/tux", "household/tools/measuring_tape_mirror"])
def test_drawings_and_mirrored_copies_are_known_by_their_names(name: str) -> None:
    assert stamps.passed_over(name)
    assert not stamps.passed_over("household/tools/measuring_tape")


def test_every_stamp_of_the_folders_looked_at_is_chosen_or_left_out_for_a_reason() -> None:
    place = KEPT / "debian" / stamps.PACKAGE.name / "pictures"
    if not place.is_dir():
        pytest.skip(f"{stamps.PACKAGE.name} is not in the cache (`edgecam data composite` puts it there)")
    everything = {p.relative_to(place).as_posix()[:-4] for p in place.rglob("*.png")}
    assert STAMPS | set(stamps.NEUTRAL) | set(STAMPS_OUT) <= everything
    looked_at = {n for n in everything if n.startswith(tuple(f"{folder}/" for folder in stamps.CONSIDERED))}
    assert {n for n in looked_at if not stamps.passed_over(n)} <= STAMPS | set(STAMPS_OUT)


def test_a_real_package_comes_from_the_mirror_and_holds_what_is_listed(tmp_path: Path) -> None:
    """16 MB: the smallest of the three."""
    package = backgrounds.LOMIRI
    apt = shutil.which("apt-get")
    if apt is None or shutil.which("dpkg") is None:
        pytest.skip("apt-get and dpkg are not here")
    known = subprocess.run([apt, "download", "--print-uris", package.name], capture_output=True, check=False)
    if known.returncode:
        pytest.skip(f"apt knows no {package.name} here")
    try:
        found = fetch(package, tmp_path)
    except DataError as error:
        pytest.skip(f"the Debian mirror cannot be reached: {error}")
    assert found.version
    chosen = set(backgrounds.CHOSEN[package])
    assert {p.name for p in found.pictures.iterdir()} == chosen | {n for n in PHOTOS_OUT if "/" not in n}
    for name in chosen:
        assert cv2.imread(str(found.pictures / name), cv2.IMREAD_REDUCED_COLOR_8) is not None


def test_no_background_is_both_chosen_and_left_out() -> None:
    assert PHOTOS.isdisjoint(PHOTOS_OUT)
    assert len(PHOTOS) == 14
