"""Requests that nobody honest sends: nothing is read, nothing written, nothing slowed."""

import http.client
import json
import re
import socket
import time
from contextlib import closing
from itertools import pairwise

import numpy as np
import psutil
import pytest

from edge.loop_kit import scene
from edge.web.web_kit import (
    PATHS,
    Loop,
    event_of,
    get,
    looping,
    messages,
    parts,
    place_of,
    raw,
    serving,
    streaming,
    until,
)
from edgecam.sinks.web import Web
from edgecam.web.hub import FOLLOWERS, WATCHERS
from edgecam.web.limits import ConnectionLimits
from edgecam.web.open import BURST

METHODS = ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE", "CONNECT", "PROPFIND", "BREW")
PATIENCE_S = 2.0  # for the loop; a client that it waited for would keep it for ever
QUICK = ConnectionLimits(most=40, per_address=20, request_s=0.5, stall_s=0.7)


# -- nothing is read


@pytest.mark.parametrize(
    "path",
    [
        "/../../../../etc/passwd",
        "/page/../../../../../etc/passwd",
        "/page/..%2f..%2f..%2fetc%2fpasswd",
        "/page/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/page/....//....//etc/passwd",
        "/page/..%5c..%5cetc%5cpasswd",
        "/page/%252e%252e%252fetc%252fpasswd",
        "/page//etc/passwd",
        "//etc/passwd",
        "/page/style.css%00.html",
        "/page/style.css/",
        "/page/index.html",
        "/page/__init__.py",
        "/page/../routes.py",
        "/thumbnail.jpg?event=../../etc/passwd",
        "/thumbnail.jpg?event=/etc/passwd",
        "/snapshot.jpg?camera=../../etc/passwd",
        "/snapshot.jpg?camera=/dev/zero",
        "/stream.mjpg?camera=file:///etc/passwd",
        "/api/history?camera=%2fetc%2fpasswd",
        "/.git/config",
        "/.env",
    ],
)
def test_no_path_reaches_the_disk(shared: Web, path: str) -> None:
    reply = raw(shared, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert re.match(rb"HTTP/1.1 (400|404) ", reply)
    assert b"root:" not in reply
    assert b"import " not in reply


@pytest.mark.parametrize(
    "target", ["http://elsewhere.example/", "elsewhere.example:443", "*", "no-slash", ""]
)
def test_it_is_no_proxy(shared: Web, target: str) -> None:
    reply = raw(shared, f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert re.match(rb"HTTP/1.1 (400|404) ", reply)


# -- nothing is changed


@pytest.mark.parametrize("method", METHODS)
def test_nothing_but_get_is_answered_anywhere(shared: Web, method: str) -> None:
    before = shared.hub.refused["method"]
    for path in PATHS:
        reply = raw(shared, f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode(), 2)
        assert reply.startswith(b"HTTP/1.1 405 "), (method, path, reply[:80])
        assert b"\r\nallow: GET\r\n" in reply
    assert shared.hub.refused["method"] == before + len(PATHS)


def test_a_body_is_refused_before_it_is_read(shared: Web) -> None:
    for head in ("Content-Length: 99999999999", "Transfer-Encoding: chunked", "Content-Length: 1"):
        began = time.monotonic()
        reply = raw(shared, f"GET / HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode(), 2)
        assert reply.startswith(b"HTTP/1.1 413 ")
        assert time.monotonic() - began < 1.5, "the connection is closed, not kept for the body"


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\rb\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\x00b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : localhost\r\n\r\n",
        b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n" * 2000 + b"x",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_no_proper_request_is_refused(shared: Web, request_bytes: bytes) -> None:
    reply = raw(shared, request_bytes, 2)
    assert re.match(rb"HTTP/1.1 (400|403|404|405|413|505) ", reply) or reply == b""
    assert get(shared, "/page/style.css").status == 200, "and the next one is answered"


def test_there_are_no_web_sockets(shared: Web) -> None:
    head = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAA"
    reply = raw(shared, f"GET / HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n".encode(), 1)
    assert reply.startswith(b"HTTP/1.1 200 ")


# -- other pages in the same browser


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8080",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "",
        "0.0.0.0",
        "192.0.2.1",
        "[::2]",
        "localhost@evil.example",
        "evil.example#localhost",
        "[",
    ],
)
def test_a_name_that_was_made_to_point_here_is_refused(shared: Web, host: str) -> None:
    reply = raw(shared, f"GET /api/state HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    assert re.match(rb"HTTP/1.1 40[03] ", reply)
    assert b"cameras" not in reply


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9999", "127.0.0.1", "[::1]:8080", "127.1.2.3"])
def test_the_names_of_this_machine_are_not(shared: Web, host: str) -> None:
    assert get(shared, "/api/state", {"Host": host}).status == 200


@pytest.mark.parametrize("path", ["/api/state", "/stream.mjpg", "/snapshot.jpg", "/events", "/live"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
    ],
)
def test_another_page_may_not_use_this_one(shared: Web, path: str, headers: dict[str, str]) -> None:
    assert get(shared, path, headers).status == 403


def test_a_link_to_the_page_may_be_followed_but_not_framed(shared: Web) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"}
    assert get(shared, "/", link).status == 200
    assert get(shared, "/", {**link, "Sec-Fetch-Dest": "iframe"}).status == 403


def test_every_answer_forbids_what_browsers_would_do_with_it(shared: Web) -> None:
    for path in ("/", "/api/state", "/nowhere", "/metrics", "/snapshot.jpg", "/page/main.js"):
        headers = get(shared, path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers
        assert "access-control-allow-origin" not in headers
    page = get(shared, "/").body
    assert not re.search(rb"<style|\sstyle=|\son\w+=|<script(?! (type=\"module\" )?src=\"/page/)", page), (
        "nothing inline"
    )


# -- names that are code


def test_names_that_are_code_stay_text_everywhere() -> None:
    evil = "</script><script>alert(1)</script>\r\nSet-Cookie: a=b\r\n\r\nevent: alarm"
    classes = (evil, "b", "c")
    with serving(classes=classes) as web, looping(web, cameras=(evil,), classes=classes) as loop:
        loop.tell(lambda: web.event(event_of("e\r\nid: 1", scene(0), label=evil, camera=evil)))
        until(lambda: web.hub.timeline.last == 1)
        state = get(web, "/api/state")
        assert state.headers["content-type"] == "application/json"
        assert state.json()["cameras"][0]["camera"] == evil
        for path in ("/", "/api/state", "/metrics", "/healthz", "/snapshot.jpg"):
            assert "set-cookie" not in get(web, path).headers
        with streaming(web, "/events?history=1") as stream:
            first = next(messages(stream))
            assert first["event"] == "event"
            assert json.loads(first["data"])["label"] == evil
        loop.lose(evil, evil)
        sick = until(lambda: (answer := get(web, "/healthz")).status == 503 and answer)
        assert sick.headers["content-type"] == "text/plain; charset=utf-8"
        lines = get(web, "/metrics").body.decode().rstrip("\n").split("\n")
        assert all(re.match(r"(# |[a-z_]+(\{.*\})? [-+.\deInfNa]+$)", line) for line in lines)


def test_a_query_never_becomes_a_header(shared: Web) -> None:
    for path in (
        "/?x=%0d%0aSet-Cookie:%20a=b",
        "/?token=%0d%0aLocation:%20x",
        "/stream.mjpg?camera=%0d%0aX:%20y",
    ):
        answer = get(shared, path)
        assert "set-cookie" not in answer.headers
        assert "location" not in answer.headers


# -- nothing is slowed


def test_a_head_that_is_too_large_is_cut_off(shared: Web) -> None:
    for size in (10_000, 20_000, 5_000_000):
        with socket.create_connection(place_of(shared), timeout=5) as client:
            reply = b""
            try:
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * size + b"\r\n\r\n")
                reply = client.recv(100)
            except OSError:
                pass  # cut off while it was still sending
            assert reply[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 431")
    assert get(shared, "/?" + "a" * 5000).status == 414


def test_a_request_that_trickles_in_is_cut_off() -> None:
    with serving(limits=QUICK) as web, looping(web):
        with (
            socket.create_connection(place_of(web), timeout=5) as slow,
            socket.create_connection(place_of(web), timeout=5) as silent,
        ):
            began = time.monotonic()
            with pytest.raises(OSError):
                _trickle(slow, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: 1\r\n" * 100)
            assert time.monotonic() - began < 2
            assert _closed(silent), "and so is one that says nothing at all"
        with socket.create_connection(place_of(web), timeout=5) as second:
            second.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert second.recv(9999).startswith(b"HTTP/1.1 200")
            second.sendall(b"GET /heal")  # the second request on a connection that was good so far
            assert _closed(second)


def test_a_client_that_stops_reading_is_let_go_and_slows_nobody() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), dtype=np.uint8)
    with serving(limits=QUICK) as web, looping(web, fps=20, picture=lambda _: noise) as loop:
        stuck = [_stuck(web) for _ in range(4)]
        with streaming(web, "/stream.mjpg?overlay=none") as good:
            shown = parts(good)
            until(lambda: web.hub.watchers.taken == 5)
            memory = psutil.Process().memory_info().rss
            for _ in range(10):
                next(shown)
            until(lambda: web.hub.watchers.taken == 1)
            next(shown)
            assert psutil.Process().memory_info().rss - memory < 64 << 20
        for client in stuck:
            client.close()
        assert loop.slowest_s < PATIENCE_S


def test_a_client_that_reads_slowly_misses_pictures_and_sees_no_old_ones() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (720, 1280, 3), dtype=np.uint8)
    with serving() as web, looping(web, picture=lambda _: noise), closing(_stuck(web)) as slow:
        answer = http.client.HTTPResponse(slow)
        answer.begin()
        shown = parts(answer)
        next(shown)
        time.sleep(1.0)
        woke = time.time()
        stamps = [float(next(shown)[0]["x-timestamp"]) for _ in range(4)]
        assert stamps[-1] > woke - 0.1, "at most what lay in the buffers was old"
        assert max(b - a for a, b in pairwise(stamps)) > 0.5, "some were missed"


def test_more_viewers_than_there_are_places_are_told_so(web: Web, loop: Loop) -> None:
    open_ones = [_asking(web, "/stream.mjpg") for _ in range(WATCHERS)]
    followers = [_asking(web, "/events") for _ in range(FOLLOWERS)]
    until(lambda: (web.hub.watchers.taken, web.hub.followers.taken) == (WATCHERS, FOLLOWERS))
    for path in ("/stream.mjpg", "/live", "/events"):
        refused = get(web, path)
        assert (refused.status, refused.headers["retry-after"]) == (503, "5")
    assert get(web, "/healthz").status == 200, "there is always room for a question"
    for client in open_ones + followers:
        client.close()
    until(lambda: web.hub.watchers.taken == web.hub.followers.taken == 0)
    with streaming(web, "/stream.mjpg") as stream:
        next(parts(stream))


def test_more_connections_than_an_address_may_open_are_cut_off() -> None:
    with serving(limits=QUICK._replace(request_s=30)) as web:
        many = [socket.create_connection(place_of(web), timeout=5) for _ in range(60)]
        until(lambda: sum(_closed(client, 0.01) for client in many) == 60 - QUICK.per_address)
        for client in many:
            client.close()
        until(lambda: _answers(web))


def test_more_requests_than_an_address_may_send_are_refused(web: Web) -> None:
    connection = http.client.HTTPConnection(*place_of(web), timeout=5)
    codes = []
    for _ in range(BURST + 60):
        try:
            connection.request("GET", "/favicon.svg")
            answer = connection.getresponse()
            answer.read()
            codes.append(answer.status)
        except (http.client.HTTPException, OSError):
            connection.close()
    connection.close()
    assert codes.count(200) >= BURST
    assert 429 in codes


def test_many_requests_in_one_go_are_answered_in_order_or_refused(web: Web, loop: Loop) -> None:
    reply = raw(web, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000, 3)
    assert 1 <= reply.count(b"HTTP/1.1 200 ") <= 1000
    assert loop.slowest_s < PATIENCE_S


def test_a_thousand_hostile_connections_leave_nothing_behind() -> None:
    rng = np.random.default_rng(0)
    with serving(limits=QUICK) as web, looping(web) as loop:
        get(web, "/healthz")
        process = psutil.Process()
        files, threads = process.num_fds(), process.num_threads()
        for number in range(1000):
            client = socket.create_connection(place_of(web), timeout=5)
            kind = number % 4
            if kind == 0:
                client.sendall(rng.bytes(200))
            elif kind == 1:
                client.sendall(b"GET /stream.mjpg HTTP/1.1\r\nHost: localhost\r\n\r\n")
            elif kind == 2:
                client.sendall(b"GET /even")
            client.close()
        until(lambda: web.hub.watchers.taken == 0 and _answers(web))
        until(lambda: process.num_fds() <= files + 1)
        assert process.num_threads() <= threads
        assert loop.slowest_s < PATIENCE_S


# -- helpers


def _trickle(client: socket.socket, request: bytes) -> None:
    for byte in request:
        client.send(bytes([byte]))
        time.sleep(0.02)


def _closed(client: socket.socket, seconds: float = 3.0) -> bool:
    """Whether the other side ends the connection within this time, whatever it says before."""
    client.settimeout(seconds)
    try:
        while client.recv(1 << 16):
            pass
    except TimeoutError:
        return False
    except OSError:
        return True
    return True


def _answers(web: Web) -> bool:
    try:
        return get(web, "/page/style.css").status == 200
    except (OSError, http.client.HTTPException):
        return False


def _asking(web: Web, path: str, receive: int | None = None) -> socket.socket:
    client = socket.socket()
    if receive is not None:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    client.connect(place_of(web))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client


def _stuck(web: Web) -> socket.socket:
    """A viewer that asks and never reads."""
    return _asking(web, "/stream.mjpg?overlay=none", receive=4096)
