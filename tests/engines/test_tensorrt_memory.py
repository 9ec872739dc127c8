import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecam_engines.errors import BuildFailed
from edgecam_engines.tensorrt.memory import available_memory, plan_memory

GB = 10**9
sizes = st.integers(0, 64 * GB)


def test_what_is_free_is_what_the_kernel_calls_available(tmp_path: Path) -> None:
    """Not MemFree: the file cache gives way to a build."""
    meminfo = tmp_path / "meminfo"
    meminfo.write_text("MemTotal:    64302024 kB\nMemFree:       100000 kB\nMemAvailable: 2000000 kB\n")
    assert available_memory(meminfo) == 2_048_000_000


@pytest.mark.parametrize("text", [None, "", "MemTotal: 1 kB\n", "MemAvailable:\n", "MemAvailable: many kB\n"])
def test_where_no_kernel_says_it_nothing_is_assumed(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "meminfo").write_text(text)
    assert available_memory(tmp_path / "meminfo") is None
    budget = plan_memory("model.onnx", GB, GB, None)
    assert (budget.workspace, budget.warning) == (0, "")


@given(model=st.integers(0, 2 * GB), activations=st.integers(0, 2 * GB), available=sizes)
def test_a_build_either_fits_with_room_to_spare_or_is_refused(
    model: int, activations: int, available: int
) -> None:
    try:
        budget = plan_memory("model.onnx", model, activations, available)
    except BuildFailed as error:
        estimate = float(re.findall(r"about (\S+) GB", str(error))[0]) * GB
        assert available < estimate + 0.12 * GB
        return
    assert budget.workspace > 0
    assert budget.estimate + budget.workspace <= available
    assert budget.estimate > 4 * model + activations


@given(available=sizes, more=st.integers(0, 4 * GB))
def test_more_free_memory_never_means_less_workspace_or_a_new_warning(available: int, more: int) -> None:
    try:
        less = plan_memory("model.onnx", 20_000_000, 50_000_000, available)
    except BuildFailed:
        return
    roomy = plan_memory("model.onnx", 20_000_000, 50_000_000, available + more)
    assert roomy.workspace >= less.workspace
    assert not (roomy.warning and not less.warning)


def test_an_idle_orin_of_64_gb_builds_without_a_word_and_a_busy_one_of_8_gb_is_warned() -> None:
    assert plan_memory("model.onnx", 20_000_000, 50_000_000, 58 * GB).warning == ""
    assert "close other programs" in plan_memory("model.onnx", 20_000_000, 50_000_000, 2 * GB).warning.lower()
