"""A bundle that is built anew in place keeps what was taught to the one before."""

from pathlib import Path

import numpy as np
import pytest

from edge.loop_kit import make_bundle
from edgecam_calibration.build import _swap_in
from edgecam_engines.bundle import open_bundle
from edgecam_engines.errors import BundleError
from edgecam_engines.head import Head
from edgecam_engines.taught.versions import folder_of, save_version


def test_what_was_taught_comes_along_and_is_told_to_be_fitted_again(
    fixed_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = Head(np.eye(2, 3, dtype=np.float32), np.zeros(2, np.float32), ("cup", "mug"))
    save_version(folder_of(fixed_bundle, "things"), head, network=open_bundle(fixed_bundle).network, about={})
    _swap_in(make_bundle(fixed_bundle.with_name("new.edgecam"), stride=16), fixed_bundle)
    opened = open_bundle(fixed_bundle)
    assert opened.manifest.feature_dhw == [3, 4, 4]
    assert "things" in opened.heads
    assert f"edgecam teach {fixed_bundle} --head things" in capsys.readouterr().err.replace("\n", "")
    with pytest.raises(BundleError, match="built anew"):
        opened.head("things")


def test_where_nothing_was_taught_nothing_is_left_behind(fixed_bundle: Path) -> None:
    _swap_in(make_bundle(fixed_bundle.with_name("new.edgecam"), stride=16), fixed_bundle)
    assert not (fixed_bundle / "taught").exists()
    assert [path.name for path in fixed_bundle.parent.iterdir()] == [fixed_bundle.name]
