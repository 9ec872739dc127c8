"""Processors told apart by what their INT8 kernels are chosen by."""

from pathlib import Path

import pytest

from edgecam_engines.processor import cpu_model, describe_cpu, instructions

X86 = "model name\t: A Processor\nflags\t\t: fpu sse2 avx2 avx512f {more}\n\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd asimddp\nCPU implementer\t: 0x41\nCPU part\t: 0xd42\n"


def machine(root: Path, cpuinfo: str) -> Path:
    (root / "proc").mkdir()
    (root / "proc" / "cpuinfo").write_text(cpuinfo)
    return root


@pytest.mark.parametrize(("more", "vnni"), [("avx512_vnni", True), ("", False)])
def test_two_machines_of_one_name_differ_by_an_instruction_set_that_is_masked(
    tmp_path: Path, more: str, vnni: bool
) -> None:
    root = machine(tmp_path, X86.format(more=more) * 4)
    assert cpu_model(root) == "A Processor"
    assert ("avx512_vnni" in instructions(root)) is vnni
    assert ("vnni" in describe_cpu(root)) is vnni


def test_arm_is_told_by_its_parts(tmp_path: Path) -> None:
    assert describe_cpu(machine(tmp_path, ARM)) == "Arm implementer 0x41 part 0xd42 (asimddp)"


def test_without_cpuinfo_the_architecture_is_what_is_known(tmp_path: Path) -> None:
    assert cpu_model(tmp_path) is None
    assert describe_cpu(tmp_path).endswith("(no INT8 extensions)")
