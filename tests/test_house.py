"""Rules of the house: who imports whom, what a package shows, and what a Jetson must not be given."""

import ast
import importlib
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement

from edgecam_engines import backends, engine, errors

if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli", reason="Python 3.10 reads no TOML of its own")

ROOT = Path(__file__).parents[1]
PACKAGES = ("edgecam", "edgecam_engines", "edgecam_calibration", "edgecam_training")
FLOORS = ("edge", "engines", "calibration", "training")
# Places of one machine, in pieces so that this file does not hold one itself.
MACHINE = re.compile("|".join(f"(?<![\\w.~/-])/{name}/" for name in ("work", "root", "tmp", "home", "Users")))


def project() -> dict[str, Any]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def tracked() -> list[Path]:
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("this is no git checkout")
    done = subprocess.run([git, "-C", ROOT, "ls-files", "-z"], capture_output=True, check=True)
    return [ROOT / name for name in done.stdout.decode().split("\0") if name and (ROOT / name).is_file()]


def test_imports_run_one_way_and_torch_stays_upstairs() -> None:
    tool = Path(sys.executable).with_name("lint-imports")
    if not tool.exists():
        pytest.skip("import-linter is not installed beside this Python")
    done = subprocess.run([tool, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "0 broken" in done.stdout


@pytest.mark.parametrize("floor", ["edge", "engines", "calibration"])
def test_nothing_torch_free_names_torch_even_inside_a_function(floor: str) -> None:
    for file in (ROOT / floor).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not {name.split(".")[0] for name in names} & {"torch", "torchvision"}, file


def test_no_tracked_file_holds_a_place_of_one_machine() -> None:
    found = []
    for file in tracked():
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        found += [f"{file.relative_to(ROOT)}: {hit.group()}" for hit in MACHINE.finditer(text)]
    assert found == []


def test_a_place_of_one_machine_would_be_found() -> None:
    assert MACHINE.search("see " + "/wo" + "rk/main")
    assert not MACHINE.search("https://a.example/home/x, frame" + "/wo" + "rkers/")


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_tells_type_checkers_that_it_is_typed(package: str) -> None:
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    assert (Path(spec.origin).parent / "py.typed").is_file()


def test_every_module_says_what_it_is_for() -> None:
    for floor in FLOORS:
        for file in (ROOT / floor).rglob("*.py"):
            text = file.read_text(encoding="utf-8").strip()
            assert not text or ast.get_docstring(ast.parse(text)), file


# -- the public surface of the engines


def test_the_engines_promise_these_modules() -> None:
    """What other programs may import; the rest of the package is free to change."""
    for name in ("backends", "bundle", "cam", "engine", "errors", "files", "geometry", "head"):
        assert importlib.import_module(f"edgecam_engines.{name}").__doc__


def test_the_engine_protocol_is_a_name_a_size_and_two_methods() -> None:
    assert set(engine.Engine.__annotations__) == {"name", "input_hw"}
    methods = {name for name, value in vars(engine.Engine).items() if callable(value) and name[0] != "_"}
    assert methods == {"infer", "close"}


def test_there_are_these_back_ends() -> None:
    by_onnxruntime = {f"onnxruntime{provider}" for provider in ("", "-cuda", "-tensorrt", "-openvino")}
    by_tensorrt = {"tensorrt", "tensorrt-dla0", "tensorrt-dla1"}
    assert set(backends.BACKENDS) == {*by_onnxruntime, *by_tensorrt, "fixed"}


def test_the_tree_drawn_in_errors_is_the_tree_there_is() -> None:
    assert errors.__doc__ is not None
    drawn = set(re.findall(r"^[|` -]*([A-Z]\w+)\s{2,}", errors.__doc__, flags=re.MULTILINE))
    defined = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert drawn == defined
    assert all(issubclass(getattr(errors, name), errors.EdgecamError) for name in defined)


# -- what is installed where


def wanted_on(machine: str, requirements: list[str]) -> set[str]:
    """Names of what pip would bring on Linux with this processor."""
    environment = {**default_environment(), "platform_machine": machine, "sys_platform": "linux"}
    parsed = map(Requirement, requirements)
    return {r.name for r in parsed if r.marker is None or r.marker.evaluate({**environment, "extra": ""})}


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_base_install_has_no_torch(machine: str) -> None:
    names = wanted_on(machine, project()["project"]["dependencies"])
    assert names & {"torch", "torchvision", "onnxscript", "matplotlib", "tensorrt"} == set()
    assert {"numpy", "typer", "rich", "safetensors"} <= names


def test_on_a_jetson_nothing_is_pulled_over_what_jetpack_brings() -> None:
    names = wanted_on("aarch64", project()["project"]["dependencies"])
    kept = {"opencv-python", "opencv-python-headless", "onnxruntime", "onnxruntime-gpu", "tensorrt"}
    assert names & kept == set()
    assert {"opencv-python", "onnxruntime"} <= wanted_on("x86_64", project()["project"]["dependencies"])
    tensorrt = wanted_on("aarch64", project()["project"]["optional-dependencies"]["tensorrt"])
    assert "tensorrt" not in tensorrt
    assert "cuda-python" in tensorrt


def test_every_extra_that_the_readme_may_name_is_there() -> None:
    extras = set(project()["project"]["optional-dependencies"])
    assert {"train", "gpu", "tensorrt", "pycuda", "web", "mqtt", "dev", "demo", "arm"} <= extras


def test_what_the_runtime_imports_is_what_it_asks_for() -> None:
    """A package that only comes along with another one is gone the day that one drops it."""
    names = {r.name for r in map(Requirement, project()["project"]["dependencies"])}
    names |= {"cv2", "PIL", *PACKAGES, *sys.stdlib_module_names}
    # Named by an extra, or looked for and done without.
    names |= {"tensorrt", "tensorrt_rtx", "cuda", "pycuda", "matplotlib", "paho"}
    for floor in ("edge", "engines", "calibration"):
        for file in (ROOT / floor).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                found = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                found += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                assert {name.split(".")[0] for name in found} <= names, file
