"""The doctor: what it concludes from facts, and that taking the facts never fails."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from edgecam import inventory
from edgecam.board import Board
from edgecam.commands import doctor as command
from edgecam.doctor import diagnose, document, usable
from edgecam.doctor_finding import Finding
from edgecam.inventory import (
    Camera,
    Inventory,
    OnnxRuntime,
    OpenCV,
    find_cameras,
    gui_of,
    has_gstreamer,
    take_inventory,
)

PC = Inventory(
    python=(3, 12, 3),
    opencv=OpenCV("4.12.0", "/venv/site-packages/cv2", False, "QT5", ("opencv-python",)),
    onnxruntime=OnnxRuntime("1.23.0", ("CPUExecutionProvider",), ("onnxruntime",)),
    cuda="",
    no_cuda="no NVIDIA driver is installed",
    tensorrt=None,
    board=None,
    cameras=(Camera("/dev/video0", "Webcam", True, "video"),),
    display=True,
    torch="2.8.0",
)
ORIN = replace(
    PC,
    python=(3, 10, 12),
    opencv=OpenCV("4.8.0", "/usr/lib/python3/dist-packages/cv2", True, "GTK3", ()),
    cuda="Orin, compute capability 8.7",
    no_cuda="",
    tensorrt="10.3.0",
    board=Board("NVIDIA Jetson AGX Orin Developer Kit", "36.4.3", "6.2", "MAXN"),
)
BUILD = """
  GUI:                           {gui}
  Video I/O:
    FFMPEG:                      YES
    GStreamer:                   {gst}
"""


def about(name: str, machine: Inventory) -> Finding:
    """The finding on one subject."""
    return next(finding for finding in diagnose(machine) if finding.name == name)


def with_board(**changes: str | None) -> Inventory:
    assert ORIN.board is not None
    return replace(ORIN, board=replace(ORIN.board, **changes))


def nothing(words: Sequence[str]) -> str:
    """No program is installed."""
    return ""


def test_a_complete_jetson_has_nothing_to_note() -> None:
    assert [(f.name, f.found) for f in diagnose(ORIN) if f.status != "ok"] == []


def test_a_desktop_without_a_gpu_is_usable_and_its_notes_are_about_the_gpu() -> None:
    findings = diagnose(PC)
    assert usable(findings)
    assert {f.name for f in findings if f.status == "note"} == {"CUDA", "TensorRT"}


@pytest.mark.parametrize(
    ("subject", "machine"),
    [
        ("Python", replace(PC, python=(3, 8, 10))),
        ("OpenCV", replace(PC, opencv="ImportError: libGL.so.1: cannot open shared object file")),
        ("ONNX Runtime", replace(PC, onnxruntime="ModuleNotFoundError: No module named 'onnxruntime'")),
    ],
)
def test_what_edgecam_cannot_do_without_is_a_problem_with_a_remedy(subject: str, machine: Inventory) -> None:
    finding = about(subject, machine)
    assert finding.status == "problem"
    assert finding.todo
    assert not usable(diagnose(machine))


def test_without_onnx_runtime_a_jetson_with_tensorrt_still_works() -> None:
    machine = replace(ORIN, onnxruntime="ModuleNotFoundError: No module named 'onnxruntime'")
    assert about("ONNX Runtime", machine).status == "note"
    assert usable(diagnose(machine))
    assert not usable(diagnose(replace(machine, tensorrt="8.6.2")))


def test_a_pip_opencv_on_a_jetson_is_noted_with_the_command_that_removes_it() -> None:
    shadow = OpenCV("4.12.0", "/venv/site-packages/cv2", False, "", ("opencv-python-headless",))
    finding = about("OpenCV", replace(ORIN, opencv=shadow))
    assert finding.status == "note"
    assert "hides JetPack's OpenCV" in finding.found
    assert "pip uninstall opencv-python-headless" in finding.todo
    assert about("OpenCV", replace(PC, opencv=shadow)).status == "ok"


def test_two_opencv_packages_write_over_each_other() -> None:
    both = OpenCV("4.12.0", "/venv/cv2", False, "QT5", ("opencv-python", "opencv-contrib-python"))
    finding = about("OpenCV", replace(PC, opencv=both))
    assert finding.status == "note"
    assert "pip uninstall opencv-python opencv-contrib-python" in finding.todo


def test_two_onnx_runtimes_write_over_each_other() -> None:
    both = OnnxRuntime("1.23.0", ("CPUExecutionProvider",), ("onnxruntime", "onnxruntime-gpu"))
    finding = about("ONNX Runtime", replace(PC, onnxruntime=both))
    assert finding.status == "note"
    assert "pip uninstall onnxruntime onnxruntime-gpu" in finding.todo


def test_a_missing_desktop_library_gets_the_headless_build() -> None:
    finding = about("OpenCV", replace(PC, opencv="ImportError: libGL.so.1: cannot open shared object file"))
    assert "opencv-python-headless" in finding.todo


@pytest.mark.parametrize(
    ("version", "status"),
    [
        ("10.3.0", "ok"),
        ("10.16.1", "ok"),
        ("11.4.0", "ok"),
        ("8.6.2", "note"),
        ("broken (no libnvdla)", "note"),
    ],
)
def test_tensorrt_counts_from_10_3_on_by_number_and_not_by_spelling(version: str, status: str) -> None:
    assert about("TensorRT", replace(ORIN, tensorrt=version)).status == status


def test_tensorrt_without_cuda_is_not_loaded_and_says_so() -> None:
    finding = about("TensorRT", replace(ORIN, cuda="", no_cuda="no driver"))
    assert finding.status == "note"
    assert "not loaded" in finding.found


def test_a_jetson_without_tensorrt_is_pointed_to_jetpacks_packages() -> None:
    todo = about("TensorRT", replace(ORIN, tensorrt=None)).todo
    assert "apt install" in todo
    assert "--system-site-packages" in todo


@pytest.mark.parametrize(
    ("l4t", "jetpack", "status"),
    [
        ("35.4.1", "5.1.2", "note"),
        ("36.3.0", "6.0", "note"),
        ("36.4.3", "6.2", "ok"),
        ("39.2.0", "7.2", "ok"),
        ("41.0.0", None, "note"),
        (None, None, "note"),
    ],
)
def test_each_jetpack_is_told_with_whether_it_is_in_scope(
    l4t: str | None, jetpack: str | None, status: str
) -> None:
    finding = about("JetPack", with_board(l4t=l4t, jetpack=jetpack))
    assert finding.status == status
    assert (l4t or "cannot be read") in finding.found


@pytest.mark.parametrize(
    ("mode", "status"), [("MAXN", "ok"), ("MAXN_SUPER", "ok"), ("MODE_30W", "note"), (None, "note")]
)
def test_a_slower_power_mode_is_noted(mode: str | None, status: str) -> None:
    assert about("Power mode", with_board(power_mode=mode)).status == status


def test_a_camera_that_may_not_be_used_names_the_group_that_may() -> None:
    closed = (Camera("/dev/video0", "Webcam", True, "video"), Camera("/dev/video2", "", False, "plugdev"))
    finding = about("Cameras", replace(PC, cameras=closed))
    assert finding.status == "note"
    assert "you may not use /dev/video2" in finding.found
    assert "usermod -aG plugdev" in finding.todo


def test_a_display_without_a_gui_build_and_a_gui_build_without_a_display_are_both_noted() -> None:
    headless = OpenCV("4.12.0", "/venv/cv2", False, "", ("opencv-python-headless",))
    assert "built without windows" in about("Window", replace(PC, opencv=headless)).found
    assert "no display" in about("Window", replace(PC, display=False)).found


MACHINES = {
    "pc": PC,
    "orin": ORIN,
    "bare pc": replace(PC, opencv="ImportError: x", onnxruntime="ImportError: y", cameras=(), display=False),
    "bare orin": replace(ORIN, opencv="ImportError: x", onnxruntime="ImportError: y", cuda="", no_cuda="z"),
    "old orin": with_board(l4t="35.4.1", jetpack="5.1.2", power_mode="MODE_15W"),
    "no torch": replace(PC, torch=None, tensorrt="unknown"),
}


@pytest.mark.parametrize("name", MACHINES)
def test_whatever_is_not_ok_says_what_to_do(name: str) -> None:
    for finding in diagnose(MACHINES[name]):
        assert finding.found
        assert finding.todo or finding.status == "ok"


@pytest.mark.parametrize(
    ("gui", "gst", "toolkit", "has"),
    [("QT5", "YES (1.20.3)", "QT5", True), ("NONE", "NO", "", False), ("GTK3", "NO", "GTK3", False)],
)
def test_opencvs_build_information_is_understood(gui: str, gst: str, toolkit: str, has: bool) -> None:
    build = BUILD.format(gui=gui, gst=gst)
    assert (gui_of(build), has_gstreamer(build)) == (toolkit, has)


@pytest.mark.parametrize(("has", "toolkit"), [("NO", ""), ("YES (ver 3.24.20)", "GTK+")])
def test_older_builds_list_their_toolkits_below_the_heading(has: str, toolkit: str) -> None:
    assert gui_of(f"  GUI: \n    GTK+:                        {has}\n") == toolkit


def test_cameras_are_listed_by_number_with_their_names(tmp_path: Path) -> None:
    for number in (10, 2, 0):
        (tmp_path / "dev").mkdir(exist_ok=True)
        (tmp_path / f"dev/video{number}").touch()
    (tmp_path / "dev/video-renderer").touch()
    entry = tmp_path / "sys/class/video4linux/video2"
    entry.mkdir(parents=True)
    (entry / "name").write_text("HD Webcam\n")
    found = find_cameras(tmp_path, may_use=lambda path: path.name != "video10")
    assert [(c.path, c.name, c.usable) for c in found] == [
        ("/dev/video0", "", True),
        ("/dev/video2", "HD Webcam", True),
        ("/dev/video10", "", False),
    ]


def test_the_inventory_of_this_machine_is_taken_without_complaint(tmp_path: Path) -> None:
    machine = take_inventory(tmp_path, nothing)
    assert machine.python >= (3, 10, 0)
    assert isinstance(machine.opencv, OpenCV)
    assert isinstance(machine.onnxruntime, OnnxRuntime)
    assert (machine.board, machine.cameras) == (None, ())
    assert bool(machine.cuda) != bool(machine.no_cuda)


def test_a_library_that_fails_at_import_is_a_finding_and_not_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str) -> ModuleType:
        raise AttributeError(f"{name} was compiled for another numpy")

    monkeypatch.setattr(inventory, "import_module", broken)
    machine = take_inventory(tmp_path, nothing)
    assert machine.opencv == "AttributeError: cv2 was compiled for another numpy"
    assert machine.onnxruntime == "AttributeError: onnxruntime was compiled for another numpy"
    assert not usable(diagnose(machine))


def test_tensorrt_is_not_imported_where_cuda_has_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "find_spec", lambda name: SimpleNamespace(name=name))
    monkeypatch.setattr(inventory, "import_module", lambda name: pytest.fail(f"{name} was imported"))
    monkeypatch.setattr(inventory, "installed_version", lambda name: "10.3.0" if name == "tensorrt" else None)
    assert inventory._tensorrt(importable=False) == "10.3.0"


def test_a_tensorrt_that_lacks_a_library_is_reported_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(name: str) -> ModuleType:
        raise ImportError("libnvdla_compiler.so: cannot open shared object file")

    monkeypatch.setattr(inventory, "find_spec", lambda name: SimpleNamespace(name=name))
    monkeypatch.setattr(inventory, "import_module", lacking)
    version = inventory._tensorrt(importable=True)
    assert version is not None
    assert "libnvdla_compiler.so" in about("TensorRT", replace(ORIN, tensorrt=version)).found


def test_the_document_says_whether_it_is_usable_and_lists_every_finding() -> None:
    findings = diagnose(replace(PC, opencv="ImportError: gone"))
    told = document(findings)
    assert told["usable"] is False
    assert len(told["findings"]) == len(findings)
    assert all(set(entry) == {"name", "status", "found", "todo"} for entry in told["findings"])
    assert json.loads(json.dumps(told)) == told


@pytest.mark.parametrize("works", [True, False])
def test_the_command_prints_for_people_and_for_scripts_and_tells_whether_it_works(
    works: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = PC if works else replace(PC, onnxruntime="ImportError: [gone]")
    monkeypatch.setattr(command, "take_inventory", lambda: machine)
    assert command.doctor(json=True) is works
    assert json.loads(capsys.readouterr().out)["usable"] is works
    assert command.doctor(json=False) is works
    told = capsys.readouterr().out
    assert ("edgecam can work here." in told) is works
    assert ("ImportError: [gone]" in told) is not works


def test_commands_to_type_stay_on_one_line_however_narrow_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(command, "take_inventory", lambda: replace(PC, torch=None))
    command.doctor(json=False)
    assert "Where you train: pip install 'edgecam[train]'" in capsys.readouterr().out
