"""Arrays from files that somebody else made."""

import io
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from edgecam_engines.npy import read_npy

NUMBERS = st.one_of(hnp.integer_dtypes(), hnp.unsigned_integer_dtypes(), hnp.floating_dtypes())


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(array=hnp.arrays(NUMBERS, hnp.array_shapes(min_dims=0, max_dims=3)), fortran=st.booleans())
def test_what_numpy_saves_is_what_is_read(tmp_path: Path, array: Any, fortran: bool) -> None:
    np.save(tmp_path / "a.npy", np.asfortranarray(array) if fortran else array)
    np.testing.assert_array_equal(read_npy(tmp_path / "a.npy"), array)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.integers(0, 140), bit=st.integers(0, 7), cut=st.integers(0, 200))
def test_a_damaged_file_is_a_value_error_or_an_array(tmp_path: Path, where: int, bit: int, cut: int) -> None:
    stream = io.BytesIO()
    np.save(stream, np.arange(6.0))
    content = bytearray(stream.getvalue())
    content[where] ^= 1 << bit
    path = tmp_path / "a.npy"
    path.write_bytes(bytes(content[: len(content) - cut // 4]))
    with suppress(ValueError):
        assert read_npy(path).nbytes <= 48


def header(shape: str, descr: str = "'<f8'") -> bytes:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text


@pytest.mark.parametrize(
    "content",
    [
        header("(10**9, )"),
        header("(1000000000000,)"),
        header("(99999999999, 99999999999)"),
        header("(-1,)") + bytes(8),
        header("(True, 1)", "'|O'") + bytes(8),
        header("(1,)", "'<U3'") + bytes(12),
        header("(1,)", "[('a', '<f8')]") + bytes(8),
        header("(" * 9000),
        b"PK\x03\x04 an archive",
        b"\x93NUMPY\x09\x00",
        b"",
    ],
    ids=lambda content: f"{content[:70]!r}",
)
def test_what_asks_for_more_than_it_holds_or_for_objects_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError):
        read_npy(tmp_path / "a.npy")
