"""A bundle replaced by a process that dies: python swap_kit.py FOLDER exchange|aside

The bundle `old` stands at FOLDER/x.edgecam. A child process builds `new` there and kills itself with SIGKILL
at its first step in the file system, another at its second, and so on until one comes to its end. After
each, whoever opens the bundle must find one of the two, whole. Prints what was found, one name a child.
"""

import os
import shutil
import signal
import sys
from pathlib import Path

from edge.loop_kit import make_bundle
from edgecam_engines import swap
from edgecam_engines.bundle import MANIFEST, open_bundle
from edgecam_engines.place import WorkFolder, check_out, swap_in

STEPS = ("open", "os.", "shutil.", "tempfile.", "ctypes.dlsym")


def build(made: Path, out: Path) -> None:
    """What `build-engine` does with its files, without the hours in between."""
    check_out(out)
    with WorkFolder(out) as folder:
        shutil.copytree(made, folder, dirs_exist_ok=True)
        swap_in(folder, out)


def die_at(step: int) -> None:
    """SIGKILL at this step in the file system, counted from 1."""
    left = [step]

    def count(event: str, _: object) -> None:
        if event.startswith(STEPS):
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(count)


def child(made: Path, out: Path, step: int) -> bool:
    """Whether it came to its end."""
    number = os.fork()
    if number == 0:
        die_at(step)
        build(made, out)
        os._exit(0)
    status = os.waitpid(number, 0)[1]
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, status
    return not os.WIFSIGNALED(status)


def found(out: Path) -> str:
    """The name of the bundle at `out`, which holds its own files and no other."""
    manifest = open_bundle(out).manifest
    files = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert files == {MANIFEST, *manifest.files}, files ^ {MANIFEST, *manifest.files}
    return manifest.name


def main() -> None:
    folder = Path(sys.argv[1])
    if sys.argv[2] == "aside":
        swap.exchange = lambda first, second: False
    old, new = (make_bundle(folder / "made" / f"{name}.edgecam") for name in ("old", "new"))
    out = folder / "place" / "x.edgecam"
    for step in range(1, 2000):
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(old, out)
        ended = child(new, out, step)
        print(found(out), flush=True)
        if ended:
            print(*sorted(p.name for p in out.parent.iterdir()))
            return


if __name__ == "__main__":
    main()
