"""URIs taken apart: options that are checked, files that hold a question mark, and no password anywhere."""

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgecam.sources import SCHEMES, kind_of, name_of, open_source
from edgecam.sources.camera_format import Wish
from edgecam.sources.csi import CsiOptions
from edgecam.sources.fixed import FixedOptions
from edgecam.sources.hiding import hide, printable
from edgecam.sources.options import read_options
from edgecam.sources.uri import split_path, split_scheme, split_url
from edgecam_engines.errors import SourceError

PORTS = {"rtsp": 554, "http": 80}


def silent(words: str) -> None:
    pass


# ---- options


def test_options_are_read_into_their_types() -> None:
    asked = split_scheme("v4l2:///dev/video0?width=1280&height=720&fps=29.97&format=MJPG")
    assert asked.where == "/dev/video0"
    assert read_options(Wish, asked.options, "camera") == Wish(1280, 720, 29.97, "mjpg")
    assert read_options(CsiOptions, {}, "csi") == CsiOptions(1280, 720, 30, 0)


def test_an_unknown_option_is_refused_with_the_nearest_name_and_all_of_them() -> None:
    with pytest.raises(SourceError) as refused:
        open_source("fixed://?widht=640", silent)
    assert "fixed:// has no option 'widht'. Did you mean width?" in str(refused.value)
    assert "It takes: width, height, fps, frames, hang_after, die_after, resize_after." in str(refused.value)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("fixed://?width=wide", "width is a whole number from 192 to 8192, not 'wide'"),
        ("fixed://?width=99999999999999999999", "width is a whole number from"),
        ("fixed://?fps=nan", "fps is a number from 0.1 to 1000, not 'nan'"),
        ("fixed://?fps=1&fps=2", "fps is given twice"),
        ("fixed://?fps", "an option is written name=value"),
        ("0?format=h266", "format is one of mjpg, yuyv"),
        ("rtsp://camera/1#transport=carrier-pigeon", "transport is one of tcp, udp"),
        ("http://camera/1#verify=maybe", "verify is 1 or 0"),
        ("csi://0?flip=8", "flip is a whole number from 0 to 7"),
    ],
)
def test_a_value_that_is_none_is_refused_with_what_it_should_be(uri: str, words: str) -> None:
    with pytest.raises(SourceError) as refused:
        open_source(uri, silent)
    assert words in str(refused.value)


def test_an_unknown_scheme_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(SourceError, match=r"rstp:// is no kind of camera. Did you mean rtsp\?"):
        kind_of("rstp://camera/1")


# ---- paths


def test_a_file_that_holds_a_question_mark_is_itself_with_and_without_options(tmp_path: Path) -> None:
    for name in ("what?.mp4", "a?loop=1"):
        path = tmp_path / name
        path.touch()
        assert split_path(str(path)) == (str(path), {})
        assert split_path(f"{path}?loop=1&realtime=0") == (str(path), {"loop": "1", "realtime": "0"})


def test_what_follows_the_question_mark_of_a_missing_file_is_options_only_if_it_looks_like_some() -> None:
    assert split_path("missing?.mp4") == ("missing?.mp4", {})
    assert split_path("missing.mp4?loop=1") == ("missing.mp4", {"loop": "1"})


@given(st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=40))
def test_a_path_given_as_a_file_url_arrives_as_it_is(name: str) -> None:
    assert split_scheme(f"file:///folder/{quote(name)}?loop=1") == (f"/folder/{name}", {"loop": "1"})


# ---- the network


def test_the_query_belongs_to_the_camera_and_the_fragment_to_us() -> None:
    address = split_url("rtsp://me:p%40ss@[fe80::1]:8554/1?channel=2#transport=udp", PORTS)
    assert address.url == "rtsp://me:p%40ss@[fe80::1]:8554/1?channel=2"
    assert address.name == "rtsp://***@[fe80::1]:8554/1?channel=2"
    assert (address.host, address.port) == ("fe80::1", 8554)
    assert (address.user, address.password) == ("me", "p@ss")
    assert address.options == {"transport": "udp"}
    assert split_url("http://camera/1", PORTS).port == 80


# Distinctive, so that it is not found in a message by chance.
SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc", "Z"]), max_size=12).map(
    lambda text: f"s3cr3t{text}"
)


@settings(max_examples=50)
@given(SECRETS, st.booleans(), st.sampled_from(["rtsp", "rtsps", "http", "https"]))
def test_no_password_is_in_a_name_or_in_a_message_however_it_was_written(
    secret: str, encoded: bool, scheme: str
) -> None:
    written = quote(secret, safe="") if encoded else secret
    uri = f"{scheme}://someone:{written}@camera/1#nonsense=1"
    assert "s3cr3t" not in printable(uri)
    assert "s3cr3t" not in name_of(uri)
    with pytest.raises(SourceError) as refused:
        open_source(uri, silent)
    assert "s3cr3t" not in str(refused.value)
    assert "someone" not in str(refused.value)


@pytest.mark.parametrize("sign", ["/", "?", "#", "@", ":", "#@", "/@", "]", "%", "["])
@pytest.mark.parametrize("start", ["s3cr3t", "12"])
def test_a_password_with_a_sign_that_ends_a_host_is_refused_or_right_but_never_shown(
    sign: str, start: str
) -> None:
    uri = f"rtsp://someone:{start}{sign}s3cr3t@camera/1#nonsense=1"
    with pytest.raises(SourceError) as refused:
        open_source(uri, silent)
    assert "s3cr3t" not in str(refused.value)
    assert "someone" not in str(refused.value)


@pytest.mark.parametrize(
    "text",
    [
        "http://camera/video.cgi?usr=me&pwd=s3cr3t",
        "http://camera/video?apikey=s3cr3t&channel=1",
        "rtsp://camera/user=admin_password=s3cr3t_channel=1_stream=0.sdp",
        "rtsp://camera/1?k=s3cr3t",
        "http://camera/1?s3cr3t",
    ],
)
def test_a_key_in_a_path_or_a_query_is_hidden_as_well(text: str) -> None:
    assert "s3cr3t" not in printable(text)


@pytest.mark.parametrize(
    "text",
    [
        "rtspsrc location=rtsp://me:s3cr3t@camera/1 ! decodebin",
        'rtspsrc location="rtsp://camera/1" user-id="me" user-pw="s3cr3t with blank" ! decodebin',
        "ERROR: from element: Could not open rtsp://me:s3cr3t/@camera/1.",
    ],
)
def test_what_other_programs_print_is_shown_without_its_passwords(text: str) -> None:
    assert "s3cr3t" not in hide(text)
    assert "camera" in hide(text)


def test_what_tells_cameras_apart_stays_visible() -> None:
    assert name_of("v4l2:///dev/video0?width=640") == "v4l2:///dev/video0?width=640"
    assert name_of("gst:rtspsrc location=rtsp://a:b@host/1") == "gst:rtspsrc location=rtsp://***@host/1"
    assert printable("rtsp://a:b@host/live?channel=2&subtype=1") == "rtsp://***@host/live?channel=2&subtype=1"


# ---- anything at all

ANYTHING = st.one_of(
    st.text(max_size=60),
    st.builds("{}://{}".format, st.sampled_from(sorted(set(SCHEMES) - {"gst"})), st.text(max_size=40)),
    st.builds(
        "{}?{}={}".format,
        st.sampled_from(["0", "/dev/video9", "x.mp4"]),
        st.text(max_size=9),
        st.text(max_size=9),
    ),
)


@given(ANYTHING)
def test_anything_at_all_is_taken_apart_or_refused_in_our_words(uri: str) -> None:
    try:
        kind = kind_of(uri)
        if kind in ("rtsp", "http"):
            split_url(uri, {"rtsp": 1, "rtsps": 1, "http": 1, "https": 1})
        elif kind == "fixed":
            read_options(FixedOptions, split_scheme(uri).options, "fixed://")
        elif kind == "csi":
            read_options(CsiOptions, split_scheme(uri).options, "csi://")
        else:
            split_path(uri)
    except SourceError:
        return  # any other exception is the failure
