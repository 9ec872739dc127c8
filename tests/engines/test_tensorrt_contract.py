"""The package names nothing of TensorRT that a version it is for does not have.

The versions are NVIDIA's own bindings, from PyPI, loaded on libraries that define what they link to and
nothing else. What they offer is then read in a process of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final
from zipfile import ZipFile

import pytest

import edgecam_engines
from engines.stand_in import write_library
from engines.trt_names import Use, uses_in, uses_of

VERSIONS: Final = ("10.3.0", "10.16.1.11", "11.4.0.106")
LIBRARIES: Final = {
    "libnvinfer.so": (
        "createInferBuilder_INTERNAL",
        "createInferRefitter_INTERNAL",
        "createInferRuntime_INTERNAL",
        "getBuilderPluginRegistry",
        "getPluginRegistry",
    ),
    "libnvinfer_plugin.so": ("initLibNvInferPlugins",),
    "libnvonnxparser.so": (
        "createNvOnnxParser_INTERNAL",
        "createNvOnnxParserRefitter_INTERNAL",
        "getNvOnnxParserVersion",
    ),
}
READ: Final = """
import json, sys
sys.path.insert(0, sys.argv[1])
import tensorrt_bindings as trt
print(json.dumps({name: dir(getattr(trt, name)) for name in dir(trt)}))
"""
# Of tensorrt_rtx alone, and used only for a target on the processor.
CROSS_COMPILING: Final = {
    "ComputeCapability",
    "ComputeCapability.SM86",
    "IBuilderConfig.num_compute_capabilities",
    "IBuilderConfig.set_compute_capability",
}

Surface = dict[str, list[str]]


def wheel_of(version: str) -> Path:
    """The wheel for this Python, from the cache or, once, from PyPI."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgecam" / "wheels"
    pattern = f"tensorrt_cu12_bindings-{version}-cp{sys.version_info[0]}{sys.version_info[1]}-*.whl"
    if not list(cache.glob(pattern)):
        package = f"tensorrt-cu12-bindings=={version}"
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run(
            [*pip, "--dest", str(cache), package], capture_output=True, text=True, check=False, timeout=250
        )
        assert done.returncode == 0, done.stderr
    return next(cache.glob(pattern))


@pytest.fixture(scope="module")
def surfaces(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Surface]:
    """What each version offers: name -> its attributes."""
    found = {}
    for version in VERSIONS:
        folder = tmp_path_factory.mktemp("bindings")
        with ZipFile(wheel_of(version)) as wheel:
            wheel.extractall(folder)
        for library, functions in LIBRARIES.items():
            major = version.partition(".")[0]
            write_library(folder / "tensorrt_bindings" / f"{library}.{major}", functions)
        read = [sys.executable, "-c", READ, str(folder)]
        done = subprocess.run(read, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        found[version] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def used() -> list[Use]:
    """By every module of the engines that is handed TensorRT, or a part of it."""
    assert edgecam_engines.__file__ is not None
    files = sorted(Path(edgecam_engines.__file__).parent.rglob("*.py"))
    return uses_in([file for file in files if "tensorrt" in file.stem or "trt." in file.read_text()])


def has(surface: Surface, name: str) -> bool:
    owner, _, member = name.partition(".")
    return owner in surface and (not member or member in surface[owner])


def broken(uses: list[Use], surfaces: dict[str, Surface]) -> list[str]:
    """Uses that some version lacks and no probe guards, and guarded ones that no version has."""
    told = []
    for use in uses:
        lacking = [version for version, surface in surfaces.items() if not has(surface, use.name)]
        if use.name in CROSS_COMPILING:
            continue
        if (lacking and not use.guarded) or len(lacking) == len(surfaces):
            told.append(f"{use.where}: {use.name} is not in TensorRT {', '.join(lacking)}")
    return told


def test_the_bindings_are_those_of_three_versions(surfaces: dict[str, Surface]) -> None:
    """That they are read, and differ as NVIDIA's migration guide says."""
    ten, between, eleven = (surfaces[version] for version in VERSIONS)
    assert has(ten, "BuilderFlag.INT8")
    assert has(between, "BuilderFlag.INT8")
    assert not has(eleven, "BuilderFlag.INT8")
    assert not has(ten, "OnnxParser.set_builder_config")
    assert has(between, "OnnxParser.set_builder_config")


def test_every_name_of_tensorrt_that_the_code_uses_exists_or_is_asked_for_first(
    surfaces: dict[str, Surface], used: list[Use]
) -> None:
    assert broken(used, surfaces) == []


def test_the_names_are_found_in_the_source(used: list[Use]) -> None:
    """Else the test above would pass on nothing."""
    names = {use.name for use in used}
    assert len(names) > 60
    assert {
        "BuilderFlag.FP16",
        "Builder.build_serialized_network",
        "EngineInspector.get_engine_information",
        "ICudaEngine.get_tensor_profile_shape",
        "IExecutionContext.execute_async_v3",
        "INetworkDefinition.get_layer",
        "OnnxParser.num_errors",
        "ParserError.node_name",
        "Runtime.deserialize_cuda_engine",
        "TensorIOMode.INPUT",
    } <= names


@pytest.mark.parametrize(
    "planted",
    [
        "config.set_flag(trt.BuilderFlag.INT8)",
        "self.trt.BuilderFlag.INT8",
        "self._trt.BuilderFlag.INT8",
        "network.add_fully_connected",
        "engine.device_memory_size",
        "self._do(context, 'execute_async_v2', stream)",
        "parser.set_builder_config(config)",
        "if hasattr(trt.BuilderFlag, 'FP16'): config.set_flag(trt.BuilderFlag.INT8)",
        "if hasattr(trt.BuilderFlag, 'INT9'): config.set_flag(trt.BuilderFlag.INT9)",
    ],
)
def test_a_planted_name_that_is_gone_is_found(surfaces: dict[str, Surface], planted: str) -> None:
    uses = uses_of(f"def build(self, trt, config):\n    {planted}\n", "planted.py")
    assert len(broken(uses, surfaces)) == 1


@pytest.mark.parametrize(
    "guarded",
    [
        "if hasattr(trt.BuilderFlag, 'INT8'): config.set_flag(trt.BuilderFlag.INT8)",
        "if hasattr(parser, 'set_builder_config'): parser.set_builder_config(config)",
        "size = getattr(engine, 'device_memory_size', 0) and engine.device_memory_size",
    ],
)
def test_a_name_that_is_asked_for_first_is_taken(surfaces: dict[str, Surface], guarded: str) -> None:
    uses = uses_of(f"def build(trt, config):\n    {guarded}\n", "guarded.py")
    assert any(use.guarded for use in uses)
    assert broken(uses, surfaces) == []


def test_nvidias_builder_for_processors_has_every_name_that_is_not_asked_for_first(used: list[Use]) -> None:
    rtx = pytest.importorskip(
        "tensorrt_rtx", reason="needs the package tensorrt-rtx-cu12, whose builder runs without a GPU"
    )
    surface = {name: dir(getattr(rtx, name)) for name in dir(rtx)}
    assert [use for use in used if not use.guarded and not has(surface, use.name)] == []
