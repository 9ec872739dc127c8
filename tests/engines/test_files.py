import hashlib
import json
from pathlib import Path

import pytest

from edgecam_engines.errors import OutputError
from edgecam_engines.files import sha256_of, write_atomically, write_json


@pytest.mark.parametrize("content", ["grün", "grün".encode()])
def test_text_and_bytes_arrive_whole_in_a_folder_made_for_them(tmp_path: Path, content: str | bytes) -> None:
    path = tmp_path / "new" / "folder" / "a.txt"
    write_atomically(path, content)
    assert path.read_text(encoding="utf-8") == "grün"
    assert [p.name for p in path.parent.iterdir()] == ["a.txt"]


def test_a_writer_is_given_a_path_of_the_same_kind_beside_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("old")
    seen: list[tuple[str, Path, str]] = []

    def writer(beside: Path) -> None:
        seen.append((beside.suffix, beside.parent, path.read_text()))
        beside.write_text("new")

    write_atomically(path, writer)
    assert seen == [(".png", tmp_path, "old")]
    assert path.read_text() == "new"


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), ValueError("bad"), KeyboardInterrupt()])
def test_a_writer_that_fails_midway_leaves_the_old_file_and_no_litter(
    tmp_path: Path, error: BaseException
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")

    def writer(beside: Path) -> None:
        beside.write_text("half")
        raise error

    expected = OutputError if isinstance(error, OSError) else type(error)
    with pytest.raises(expected):
        write_atomically(path, writer)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_full_disk_leaves_the_old_file_and_says_what_to_do(small_disk: Path) -> None:
    path = small_disk / "a.bin"
    write_atomically(path, b"old")
    with pytest.raises(
        OutputError, match=r"a\.bin could not be written: No space left(.|\n)*Free some space"
    ):
        write_atomically(path, bytes(1 << 20))
    assert [(p.name, p.read_bytes()) for p in small_disk.iterdir()] == [("a.bin", b"old")]


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="could not be written"):
        write_atomically(tmp_path / "file" / "a.txt", "x")


def test_json_is_for_people_too_and_holds_no_nan(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"name": "grün", "n": [1]})
    assert "grün" in path.read_text(encoding="utf-8")
    assert json.loads(path.read_text()) == {"name": "grün", "n": [1]}
    with pytest.raises(ValueError, match="Out of range"):
        write_json(path, {"x": float("nan")})
    assert json.loads(path.read_text()) == {"name": "grün", "n": [1]}


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1])
def test_the_hash_of_a_file_does_not_depend_on_how_it_is_read(tmp_path: Path, size: int) -> None:
    content = b"\x07" * size
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()
