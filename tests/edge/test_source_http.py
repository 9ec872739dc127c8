"""MJPEG over HTTP, from a real server that writes its parts in every way, damages, stalls and resizes."""

import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.parts.mjpeg_server import USUAL, Damage, MjpegServer, Wire, photo_of
from edgecam.sources import jpeg, open_source
from edgecam.sources.fixed import number_of
from edgecam.sources.jpeg import DamagedJpeg, check, decode
from edgecam.sources.multipart import BadMultipart, Parts
from edgecam.sources.source import Counting, Source
from edgecam_engines.errors import SourceError

WAIT_S = 5.0
PHOTO = photo_of(5)


def silent(words: str) -> None:
    pass


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    yield
    until = time.monotonic() + WAIT_S
    while [t for t in threading.enumerate() if t.name == "edgecam-receive"] and time.monotonic() < until:
        time.sleep(0.01)
    assert not [t for t in threading.enumerate() if t.name == "edgecam-receive"]


def grab(source: Source, times: int) -> list[int]:
    """The numbers of so many frames."""
    return [number_of(source.retrieve()) for _ in range(times) if source.grab()]


# ---- photos


def halves(photo: bytes, number: int) -> bytes:
    return photo[: len(photo) // 2] + photo_of(number + 1)[len(photo) // 2 :]


DAMAGES: dict[str, Damage] = {
    "cut off": lambda photo, _: photo[: len(photo) // 2],
    "cut off, with an end": lambda photo, _: photo[: len(photo) // 2] + b"\xff\xd9",
    "a hole of a packet": lambda photo, _: photo[: len(photo) // 2] + photo[len(photo) // 2 + 1460 :],
    "zeros": lambda photo, _: photo[:-3000] + bytes(2000) + photo[-1000:],
    "another one inside": lambda photo, _: photo[: len(photo) // 2] + photo,
    "no header": lambda photo, _: photo[700:],
    "text": lambda photo, _: b"the camera is busy",
    "nothing": lambda photo, _: b"",
    "a huge size": lambda photo, _: photo.replace(
        b"\xff\xc0\x00\x11\x08\x00\xf0\x01\x40", b"\xff\xc0\x00\x11\x08\xff\xff\xff\xff"
    ),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_photo_is_refused(name: str) -> None:
    damaged = DAMAGES[name](PHOTO, 5)
    assert damaged != PHOTO
    with pytest.raises(DamagedJpeg):
        decode(damaged)


def test_a_whole_photo_is_decoded_whatever_stands_around_it() -> None:
    frame = decode(PHOTO)
    assert number_of(frame) == 5
    np.testing.assert_array_equal(decode(b"\r\n" + PHOTO + b"\r\n\0\0"), frame)
    np.testing.assert_array_equal(decode(PHOTO, strict=False), frame)


def test_without_strictness_what_can_be_seen_is_shown() -> None:
    assert decode(DAMAGES["cut off, with an end"](PHOTO, 5), strict=False).shape == (240, 320, 3)
    with pytest.raises(DamagedJpeg):
        decode(b"text", strict=False)


def test_a_restart_marker_out_of_order_is_told() -> None:
    photo = bytes(cv2.imencode(".jpg", decode(PHOTO), [cv2.IMWRITE_JPEG_RST_INTERVAL, 4])[1])
    assert check(photo) == photo
    second = photo.index(b"\xff\xd1")
    third = photo.index(b"\xff\xd2", second)
    with pytest.raises(DamagedJpeg, match="a part of it is missing"):
        check(photo[:second] + photo[third:])


def test_what_others_print_meanwhile_is_passed_on_and_a_decoders_complaint_is_not(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with jpeg._complaints() as heard:
        os.write(2, b"one\nCorrupt JPEG data: 7 extraneous bytes before marker 0xd9\ntwo\n")
    assert heard == ["Corrupt JPEG data: 7 extraneous bytes before marker 0xd9"]
    assert capfd.readouterr().err == "one\ntwo\n"


@given(st.binary(max_size=300), st.integers(0, 700))
def test_no_bytes_do_harm(noise: bytes, kept: int) -> None:
    with pytest.raises(DamagedJpeg):
        decode(PHOTO[:kept] + noise)


# ---- parts


WIRES = {
    "usual": USUAL,
    "quoted": USUAL._replace(content_type='multipart/x-mixed-replace;boundary="frame"'),
    "dashes in the header": USUAL._replace(content_type="multipart/x-mixed-replace; boundary=--frame"),
    "another boundary than announced": USUAL._replace(content_type="multipart/mixed; boundary=other"),
    "none announced": USUAL._replace(content_type="multipart/x-mixed-replace"),
    "no length": USUAL._replace(before=b"--frame\r\nContent-Type: image/jpeg\r\n\r\n"),
    "no headers": USUAL._replace(before=b"--frame\r\n\r\n"),
    "bare line feeds": USUAL._replace(before=b"--frame\nContent-Length:%LENGTH%\n\n", after=b"\n"),
    "no line end behind": USUAL._replace(after=b""),
    "blank lines": USUAL._replace(before=b"\r\n\r\n--frame\r\nContent-Length: %LENGTH%\r\n\r\n"),
    "a length that is too short": USUAL._replace(
        before=b"--frame\r\nContent-Length: 1%LENGTH%0\r\n\r\n".replace(b"1%LENGTH%0", b"99")
    ),
    "a length that is too long": USUAL._replace(before=b"--frame\r\nContent-Length: %LENGTH%00\r\n\r\n"),
    "a length that is none": USUAL._replace(before=b"--frame\r\nContent-Length: -1\r\n\r\n"),
    "many headers": USUAL._replace(before=b"--frame\r\nX: 1\r\nY: 2\r\ncontent-length :%LENGTH%\r\n\r\n"),
    "dashes only inside": Wire(before=b"----=_Part_1\r\nContent-Type: image/jpeg\r\n\r\n"),
}


def parts_of(stream: bytes, chunk: int, longest: int = 1 << 20) -> Parts:
    at = 0

    def receive(most: int) -> bytes:
        nonlocal at
        taken = stream[at : at + min(chunk, most)]
        at += len(taken)
        return taken

    return Parts(receive, longest)


@pytest.mark.parametrize("name", WIRES)
@pytest.mark.parametrize("chunk", [1009, 1 << 16])
def test_parts_are_found_however_they_are_written(name: str, chunk: int) -> None:
    photos = [photo_of(i, 192, 32) for i in range(4)]
    parts = parts_of(b"".join(map(WIRES[name].part, photos)) + b"--frame--\r\n", chunk)
    given = [parts.next() for _ in range(3)]
    assert [number_of(decode(part)) for part in given] == [0, 1, 2]


def test_a_photo_is_given_before_the_next_boundary_comes() -> None:
    for wire in (USUAL._replace(after=b""), WIRES["no length"]):
        parts = parts_of(wire.part(PHOTO), 1 << 20)
        assert number_of(decode(parts.next())) == 5
        with pytest.raises(EOFError):
            parts.next()


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (b"--frame\r\n\r\n" + bytes(3000), "a part is longer"),
        (b"x" * 3000, "a line never ends"),
        (b"x\n" * 3000, "no boundary comes"),
        (b"--frame\r\n" + b"a: b\r\n" * 99, "too many headers"),
    ],
)
def test_everything_has_an_upper_limit(stream: bytes, words: str) -> None:
    with pytest.raises(BadMultipart, match=words):
        parts_of(stream, 512, longest=2000).next()


@given(st.binary(max_size=400))
def test_no_stream_does_harm(stream: bytes) -> None:
    parts = parts_of(b"--frame\r\n" + stream, 64, longest=1000)
    with pytest.raises((EOFError, BadMultipart)):
        [parts.next() for _ in range(len(stream) + 2)]


# ---- the source


def test_frames_come_in_order_with_the_time_of_their_arrival() -> None:
    with MjpegServer() as server, closing(open_source(server.uri, silent)) as source:
        assert source.name == f"http://127.0.0.1:{server.port}/stream.mjpg?key=***"
        numbers = grab(source, 10)
        assert numbers == sorted(set(numbers))
        stamp = source.stamp()
        assert stamp is not None
        assert 0 <= time.monotonic() - stamp < 1


def test_a_slow_taker_gets_the_newest_photo_and_those_between_are_counted() -> None:
    with MjpegServer() as server, closing(open_source(server.uri, silent)) as source:
        assert isinstance(source, Counting)
        (first,) = grab(source, 1)
        before = source.missed
        time.sleep(0.5)
        newest = server.number - 1
        (number,) = grab(source, 1)
        assert newest - 15 <= number, "25 came meanwhile"
        assert source.missed - before == number - first - 1
        stamp = source.stamp()
        assert stamp is not None
        assert time.monotonic() - stamp < 0.4


def test_damaged_photos_are_left_out_counted_and_told_now_and_then() -> None:
    said: list[str] = []

    def third(photo: bytes, number: int) -> bytes:
        return DAMAGES["a hole of a packet"](photo, number) if number % 3 == 0 else photo

    with MjpegServer() as server, closing(open_source(server.uri, said.append)) as source:
        server.damage = third
        grab(source, 2)  # one that was on its way
        (start,) = grab(source, 1)
        missed = source.missed  # type: ignore[attr-defined]
        numbers: list[int] = []
        until = time.monotonic() + WAIT_S
        while source.damaged < 10 and time.monotonic() < until:  # type: ignore[attr-defined]
            numbers += grab(source, 1)
        assert source.missed - missed == numbers[-1] - start - len(numbers)  # type: ignore[attr-defined]
    assert not [number for number in numbers if number % 3 == 0]
    assert len(said) == 2, "at 1 and at 10"
    assert "10 damaged photos left out so far" in said[1]


def test_a_camera_that_gives_only_damaged_photos_says_how_to_see_them() -> None:
    with MjpegServer() as server:
        server.damage = DAMAGES["cut off, with an end"]
        with pytest.raises(SourceError, match=r"only damaged photos for 1 s(.|\n)*#strict=0"):
            open_source(f"{server.uri}#timeout=1", silent)
        with closing(open_source(f"{server.uri}#strict=0", silent)) as source:
            assert source.grab()


def test_a_change_of_size_is_followed() -> None:
    with MjpegServer() as server, closing(open_source(server.uri, silent)) as source:
        grab(source, 2)
        server.size = (640, 360)
        until = time.monotonic() + WAIT_S
        while source.grab() and source.retrieve().shape != (360, 640, 3):
            assert time.monotonic() < until


def test_a_camera_that_stalls_is_lost_in_time() -> None:
    with MjpegServer() as server, closing(open_source(f"{server.uri}#timeout=1", silent)) as source:
        grab(source, 2)
        server.stalled = True
        began = time.monotonic()
        with pytest.raises(SourceError, match=r"gives no photos within 1 s|broke off"):
            grab(source, 9)
        assert time.monotonic() - began < WAIT_S
        server.stalled = False


def test_a_camera_that_hangs_up_is_lost_and_found_again_by_a_new_opening() -> None:
    with MjpegServer() as server:
        server.lasts = 3
        with (
            closing(open_source(server.uri, silent)) as source,
            pytest.raises(SourceError, match="ended its stream"),
        ):
            grab(source, 9)
        server.stop()
        with pytest.raises(SourceError, match="cannot be reached: Connection refused"):
            open_source(server.uri, silent)
        server.lasts = None
        server.start()
        with closing(open_source(server.uri, silent)) as source:
            assert grab(source, 1)[0] >= 3


def test_closing_does_not_wait_for_a_camera_that_is_silent() -> None:
    with MjpegServer() as server:
        source = open_source(server.uri, silent)
        server.stalled = True
        time.sleep(0.1)
        began = time.monotonic()
        source.close()
        source.close()
        assert time.monotonic() - began < 1
        server.stalled = False


@pytest.mark.parametrize("digest", [False, True])
def test_a_password_is_sent_and_a_wrong_one_is_told_without_showing_it(digest: bool) -> None:
    with MjpegServer(user="someone", password="s3cr3t @/", digest=digest) as server:
        uri = server.uri.replace("://", "://someone:s3cr3t%20%40%2F@")
        with closing(open_source(uri, silent)) as source:
            assert grab(source, 1)
            assert "s3cr3t" not in source.name
        for wrong in (server.uri, server.uri.replace("://", "://someone:wr0ng@")):
            with pytest.raises(SourceError, match="answers with 401: it refuses the user") as refused:
                open_source(wrong, silent)
            assert "wr0ng" not in str(refused.value)
            assert "k3y" not in str(refused.value)


@pytest.mark.parametrize(
    ("content_type", "words"),
    [
        ("image/jpeg", "gives one photo"),
        ("text/html", "gives a page"),
        ("video/mp4", "no video that can be read"),
    ],
)
def test_an_answer_that_is_no_stream_says_what_it_is(content_type: str, words: str) -> None:
    with MjpegServer(USUAL._replace(content_type=content_type)) as server:
        server.lasts = 1
        server.damage = DAMAGES["text"]
        with pytest.raises(SourceError, match=words) as refused:
            open_source(f"{server.uri}#timeout=1", silent)
        assert "k3y" not in str(refused.value)


def test_a_machine_that_answers_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(SourceError, match=r"no answer within 0\.3 s"):
            open_source(f"http://127.0.0.1:{port}/1#timeout=0.3", silent)


def test_an_answer_without_a_body_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection = server.accept()[0]
            connection.recv(4096)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Type: multipart/x-mixed-replace\r\nContent-Length: 0\r\n\r\n"
            )
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(SourceError, match="ended its stream"):
            open_source(f"http://127.0.0.1:{server.getsockname()[1]}/1", silent)
        thread.join(WAIT_S)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="needs openssl, to make a certificate")
def test_a_certificate_that_nobody_signed_is_refused_unless_it_is_wanted(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=here"
    subprocess.run(
        [*made.split(), "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True
    )
    server = MjpegServer()
    server.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.tls.load_cert_chain(certificate, key)
    with server:
        uri = server.uri.replace("http:", "https:")
        with pytest.raises(
            SourceError, match=r"a certificate that this machine does not trust(.|\n)*#verify=0"
        ):
            open_source(uri, silent)
        with closing(open_source(f"{uri}#verify=0", silent)) as source:
            assert len(grab(source, 3)) == 3
            began = time.monotonic()
        assert time.monotonic() - began < 1
