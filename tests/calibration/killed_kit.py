"""`build-engine` ended again and again: python killed_kit.py RUN MODELS OUT SEED TIMES

First builds once at OUT, and once more beside it to learn how long that takes. Then, TIMES times with
SIGKILL and as often with SIGINT, a process that replaces the bundle is ended at a moment drawn with SEED.
Prints, for each, how it ended and the bundle's seed of calibration, which tells old from new.
"""

import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import onnxruntime  # noqa: F401  here, so that no child has to do it

from edgecam import boundary
from edgecam_calibration import build as building
from edgecam_engines.bundle import MANIFEST, open_bundle


def build(run: Path, models: Path, out: Path, name: str) -> None:
    """A whole build, but for models that were made before. The run is called `name`, and so is the bundle."""
    files = {path.stem: f"models/{path.name}" for path in sorted(models.glob("*.onnx"))}

    def copied(_: object, folder: Path, *__: object, **___: object) -> dict[str, str]:
        shutil.copytree(models, folder / "models")
        return files

    building.write_models = copied
    link = out.parent / "runs" / name
    link.parent.mkdir(exist_ok=True)
    if not link.exists():
        shutil.copytree(run, link)
    building.build_engine(link, out, precision="fp32", backend="onnxruntime")


def started(run: Path, models: Path, out: Path, name: str) -> int:
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os._exit(boundary.code_of(lambda: build(run, models, out, name)))
    return child


def status(child: int) -> str:
    ended = os.waitpid(child, 0)[1]
    return "killed" if os.WIFSIGNALED(ended) else f"exit {os.WEXITSTATUS(ended)}"


def found(out: Path) -> str:
    """The name of the bundle at `out`, which holds its own files and no other."""
    manifest = open_bundle(out).manifest
    files = {p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file()}
    assert files == {MANIFEST, *manifest.files}
    return manifest.name


def main() -> None:
    run, models, out = (Path(argument) for argument in sys.argv[1:4])
    rng, times = random.Random(int(sys.argv[4])), int(sys.argv[5])
    assert status(started(run, models, out, "bundle-0")) == "exit 0"
    before = time.monotonic()
    assert status(started(run, models, out.with_name("other.edgecam"), "other")) == "exit 0"
    lasts = time.monotonic() - before
    for number, how in enumerate([signal.SIGKILL, signal.SIGINT] * times, start=1):
        was = found(out)
        child = started(run, models, out, f"bundle-{number}")
        time.sleep(rng.uniform(0, 1.1 * lasts))
        os.kill(child, how)
        told = status(child)
        now = found(out)
        side = "old" if now == was else "new" if now == f"bundle-{number}" else "neither"
        left = [p.name for p in out.parent.iterdir() if p.name.startswith(".")]
        print(how.name, told, side, len(left), sep="\t", flush=True)
    assert status(started(run, models, out, "last")) == "exit 0"
    print(found(out), *sorted(p.name for p in out.parent.iterdir() if p.name != "runs"), sep="\t")


if __name__ == "__main__":
    main()
