import io
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from edgecam_engines import console
from edgecam_engines.tensorrt.watch import Overall, Progress, build_bar, watch

MODULE = SimpleNamespace(IProgressMonitor=object)


def test_phases_within_phases_count_as_parts_of_a_step() -> None:
    overall = Overall()
    told = [(0, 4, 0), (1, 4, 0), (0, 2, 1), (1, 2, 1), (2, 4, 0), (4, 4, 0)]
    shares = [overall.share(Progress("any", done, steps, depth)) for done, steps, depth in told]
    assert shares == [0, 1 / 4, 1 / 4, 1 / 4 + 1 / 8, 1 / 2, 1]


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 4)), max_size=30))
def test_a_share_stays_within_0_and_1_and_never_goes_back_whatever_is_told(
    told: list[tuple[int, int, int]],
) -> None:
    overall = Overall()
    shares = [overall.share(Progress("any", min(done, steps), steps, depth)) for done, steps, depth in told]
    assert shares == sorted(shares)
    assert all(0 <= share <= 1 for share in shares)


def test_depths_come_from_the_parents_that_the_builder_names() -> None:
    told: list[Progress] = []
    monitor = watch(MODULE, told.append)
    monitor.phase_start("outer", None, 2)
    monitor.phase_start("inner", "outer", 3)
    assert monitor.step_complete("inner", 0)
    monitor.phase_finish("inner")
    monitor.phase_start("later", "outer", 1)
    assert monitor.step_complete("never started", 0)
    assert [(p.phase, p.done, p.steps, p.depth) for p in told] == [
        ("outer", 0, 2, 0),
        ("inner", 0, 3, 1),
        ("inner", 1, 3, 1),
        ("inner", 3, 3, 1),
        ("later", 0, 1, 1),
    ]
    monitor.stop.set()
    assert not monitor.step_complete("later", 0)


def test_the_bar_shows_percent_and_the_phase_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    terminal: Any = Console(file=shown, force_terminal=True, width=120)
    monkeypatch.setattr(console, "log", terminal)
    with build_bar("Building model.plan") as progress:
        progress(Progress("Building engine", 0, 4, 0))
        progress(Progress("Timing tactics", 1, 2, 1))
        terminal.file.flush()
    assert "Building model.plan" in shown.getvalue()
    assert "Timing tactics" in shown.getvalue()
    assert "12/100" in shown.getvalue()
