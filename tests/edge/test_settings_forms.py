"""The forms of settings that are texts: what is taken, what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgecam.config import forms
from edgecam.web.address import read_address

PART = st.floats(0, 1).map(lambda x: f"{x:.4f}")
PIXELS = st.integers(0, 9999).map(str)


@pytest.mark.parametrize("text", ["0,0,1,1", "0.25,0,0.5,1", "10,20,300,400", "0, 0, .5, .5", "0,0,2,1"])
def test_a_region_is_four_numbers(text: str) -> None:
    assert forms.is_roi(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1,2,3",
        "1,2,3,4,5",
        "0,0,0,1",
        "0,0,1,0",
        "-1,0,5,5",
        "1,0,0.5,0.5",
        "a,b,c,d",
        "nan,0,1,1",
        "1_0,0,5,5",
    ],
)
def test_a_region_without_size_or_outside_the_frame_is_refused(text: str) -> None:
    assert not forms.is_roi(text)


@given(left=PART, top=PART, width=PART, height=PART)
def test_parts_of_a_frame_are_taken_whenever_something_is_left_of_them(
    left: str, top: str, width: str, height: str
) -> None:
    something = float(left) < 1 and float(top) < 1 and float(width) > 0 and float(height) > 0
    assert forms.is_roi(",".join((left, top, width, height))) == something


@pytest.mark.parametrize("text", ["none", "ema:0.3", "ema:1", "ema:.05", "consensus:3/5", "consensus:1/1"])
def test_smoothings_are_taken(text: str) -> None:
    assert forms.is_smoothing(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "None",
        "ema",
        "ema:0",
        "ema:1.1",
        "ema:0.3/0.4",
        "consensus:2/4",
        "consensus:6/5",
        "consensus:3",
        "mean:3",
    ],
)
def test_other_smoothings_are_refused(text: str) -> None:
    assert not forms.is_smoothing(text)


@given(need=st.integers(0, 999), of=st.integers(0, 999))
def test_a_consensus_is_a_majority(need: int, of: int) -> None:
    assert forms.is_smoothing(f"consensus:{need}/{of}") == (of / 2 < need <= of)


@given(on=st.floats(0, 2).map(lambda x: round(x, 3)), off=st.floats(0, 2).map(lambda x: round(x, 3)))
def test_levels_are_shares_and_the_second_is_not_above_the_first(on: float, off: float) -> None:
    assert forms.is_hysteresis(f"{on:.3f}") == (on <= 1)
    assert forms.is_hysteresis(f"{on:.3f}/{off:.3f}") == (off <= on <= 1)


@pytest.mark.parametrize(
    "text",
    ["a > 3/h", "a>3/h", "a b > c > 0.5 / min", "a > 3/h @ p<0.001", "a > 3/day in 30min @ p < 1e-5"],
)
def test_alarms_are_taken(text: str) -> None:
    assert forms.is_alarm(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        "> 3/h",
        "a > 0/h",
        "a > 3",
        "a > 3/year",
        "a > 3/h @ p<1",
        "a > 3/h @ p<0",
        "a > x/h",
        "a > 3/h @ p<1e-13",
        "a > 9/s in 9day",
    ],
)
def test_other_alarms_are_refused(text: str) -> None:
    assert not forms.is_alarm(text)


@pytest.mark.parametrize(
    ("address", "here"),
    [
        ("127.0.0.1:8080", True),
        ("127.9.9.9:1", True),
        ("localhost:0", True),
        ("[::1]:65535", True),
        (":8080", True),
        ("8080", True),
        ("0.0.0.0:8080", False),
        ("[::]:8080", False),
        ("192.168.1.7:80", False),
        ("edge.example:80", False),
    ],
)
def test_addresses_are_taken_and_those_of_this_machine_alone_are_known(address: str, here: bool) -> None:
    assert forms.is_address(address)
    assert read_address(address).here == here


@pytest.mark.parametrize(
    "text", ["", "host", "host:", "host:70000", "[::1]", "::1:80", "[x]:80", "a b:80", "u@h:1"]
)
def test_other_addresses_are_refused(text: str) -> None:
    assert not forms.is_address(text)


@pytest.mark.parametrize(
    "uri", ["mqtt://h", "mqtts://u@h:8883/a/b", "mqtt://[::1]:1883", "mqtt://10.0.0.7/line%203"]
)
def test_brokers_are_taken(uri: str) -> None:
    assert forms.is_broker(uri)


@pytest.mark.parametrize(
    "uri",
    [
        *("", "h:1883", "http://h", "mqtt://", "mqtt://u:p@h", "mqtt://u:@h", "mqtt://:@h"),
        *("mqtt://h:x", "mqtt://h:0", "mqtt://h:70000", "mqtt://h?q", "mqtt://h#f", "mqtt://h /a"),
    ],
)
def test_other_brokers_are_refused(uri: str) -> None:
    assert not forms.is_broker(uri)


@pytest.mark.parametrize(
    ("uri", "held"),
    [
        ("rtsp://me:secret@10.0.0.7/1", True),
        ("rtsp://me:@10.0.0.7/1", True),
        ("rtsp://:secret@10.0.0.7", True),
        ("rtsp://me@10.0.0.7/1", False),
        ("rtsp://me:a/b@10.0.0.7", True),
        ("http://10.0.0.7/video?user=me&pwd=secret", True),
        ("http://10.0.0.7/video?fps=5#transport=udp", False),
        ("rtsp://10.0.0.7:554/a", False),
        ("a:b@c", False),
        ("/dev/video0", False),
    ],
)
def test_a_password_in_a_uri_is_seen(uri: str, held: bool) -> None:
    assert forms.holds_password(uri) == held


@pytest.mark.parametrize(
    ("uri", "held"),
    [("csi://0", True), ("gst:videotestsrc", True), ("GST:x", True), ("clip:1.mp4", False), ("0", False)],
)
def test_a_scheme_is_seen_and_a_file_with_a_colon_is_none(uri: str, held: bool) -> None:
    assert forms.holds_scheme(uri) == held
