"""Every address, asked of a server that runs beside a loop as it does in the camera."""

import builtins
import json
import re
import time

import numpy as np
import pytest

from edge.loop_kit import scene
from edge.web.web_kit import (
    ABOUT,
    Loop,
    alarm_of,
    decoded,
    event_of,
    get,
    looping,
    messages,
    parts,
    serving,
    streaming,
    until,
)
from edgecam.sinks.listener import Listener
from edgecam.sinks.web import Web
from edgecam.web.pictures import STREAM_FPS
from edgecam_engines.errors import OutputError


def test_the_sink_is_a_listener_too(web: Web) -> None:
    assert isinstance(web, Listener)


def test_without_the_extra_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: object, **more: object) -> object:
        if name.startswith("edgecam.web.hub"):
            raise ModuleNotFoundError("No module named 'starlette'", name="starlette")
        return real(name, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(OutputError, match=r"pip install 'edgecam\[web\]'"):
        Web("127.0.0.1:0", ABOUT, say=print)


def test_before_any_camera_nothing_is_healthy_and_nothing_is_shown(web: Web) -> None:
    assert get(web, "/healthz").status == 503
    assert get(web, "/readyz").status == 503
    assert get(web, "/snapshot.jpg").status == 503
    assert get(web, "/stream.mjpg").status == 503
    assert get(web, "/api/state").json()["cameras"] == []


def test_health_follows_the_cameras(web: Web) -> None:
    with looping(web, cameras=("north", "south")) as loop:
        assert get(web, "/healthz").body == b"ok\n"
        assert get(web, "/readyz").status == 200
        loop.lose("south", "unplugged")
        sick = until(lambda: (answer := get(web, "/healthz")).status == 503 and answer)
        assert re.fullmatch(r"south: lost since \S+Z: unplugged\n", sick.body.decode())
        assert get(web, "/readyz").status == 200, "it was ready to work, and the rest of it works"
        loop.find("south")
        until(lambda: get(web, "/healthz").status == 200)


def test_a_snapshot_is_of_a_frame_that_came_after_the_question(web: Web, loop: Loop) -> None:
    before = loop.written
    plain = get(web, "/snapshot.jpg?overlay=none")
    assert plain.headers["content-type"] == "image/jpeg"
    picture = decoded(plain.body).astype(int)
    assert loop.written > before
    assert min(np.abs(picture - scene(kind)).mean() for kind in range(3)) < 3
    drawn = decoded(get(web, "/snapshot.jpg?overlay=cam").body).astype(int)
    assert min(np.abs(drawn - scene(kind)).mean() for kind in range(3)) > 3


def test_a_camera_that_is_answered_rarely_still_has_a_snapshot(web: Web) -> None:
    with looping(web, fps=0.2):
        time.sleep(0.1)
        assert get(web, "/snapshot.jpg").status == 200


def test_there_is_no_snapshot_and_no_new_picture_of_a_lost_camera(web: Web, loop: Loop) -> None:
    with streaming(web, "/stream.mjpg?overlay=none") as stream:
        shown = parts(stream)
        next(shown)
        loop.lose("front", "unplugged")
        until(lambda: get(web, "/snapshot.jpg").status == 503)
        assert b"unplugged" in get(web, "/snapshot.jpg").body
        at = web.hub.pictures.encodes
        time.sleep(0.5)
        assert web.hub.pictures.encodes == at
        lost_at = time.time()
        loop.find("front")
        stamps = [float(next(shown)[0]["x-timestamp"]) for _ in range(8)]
        assert any(stamp > lost_at for stamp in stamps), "the same stream goes on by itself"


def test_the_stream_shows_each_frame_once_in_order_and_not_too_many(web: Web, loop: Loop) -> None:
    with streaming(web, "/stream.mjpg") as stream:
        assert stream.getheader("content-type") == "multipart/x-mixed-replace; boundary=edgecam-picture"
        began = time.monotonic()
        shown = [next(iter_) for iter_ in [parts(stream)] for _ in range(12)]
        passed = time.monotonic() - began
    stamps = [float(headers["x-timestamp"]) for headers, _ in shown]
    assert stamps == sorted(set(stamps))
    assert passed > 10 / (STREAM_FPS * 1.2)
    assert decoded(shown[-1][1]).shape == (240, 320, 3)


def test_pictures_answers_and_maps_of_the_page_are_of_the_same_frame(web: Web, loop: Loop) -> None:
    with streaming(web, "/live") as stream:
        for _ in range(3):
            head = json.loads(stream.readline())
            picture = decoded(stream.read(head["jpeg"])).astype(int)
            cells = np.frombuffer(stream.read(head["heat"][0] * head["heat"][1]), np.uint8).reshape(
                head["heat"]
            )
            kind = (head["result"]["frame"] // 20) % 3
            assert np.abs(picture - scene(kind)).mean() < 3, "clean, and of this answer"
            assert abs(cells.argmax() % 48 - 12) <= 1
            assert head["result"]["size"] == [320, 240]


def test_viewers_share_one_encoding(web: Web, loop: Loop) -> None:
    with (
        streaming(web, "/stream.mjpg?overlay=none") as one,
        streaming(web, "/stream.mjpg?overlay=none") as two,
    ):
        first, second = parts(one), parts(two)
        next(first), next(second)
        before = web.hub.pictures.encodes, web.hub.pictures.taken("front")
        time.sleep(1.0)
        encodes = web.hub.pictures.encodes - before[0]
        assert 0 < encodes <= web.hub.pictures.taken("front") - before[1] + 1
    until(lambda: web.hub.watchers.taken == 0)


def test_a_viewer_who_is_gone_costs_nothing(web: Web, loop: Loop) -> None:
    with streaming(web, "/stream.mjpg") as stream:
        next(parts(stream))
        assert web.hub.watchers.taken == 1
    until(lambda: web.hub.watchers.taken == 0)
    time.sleep(2.2)
    before = web.hub.pictures.encodes
    time.sleep(0.3)
    assert web.hub.pictures.encodes == before


def test_an_unknown_camera_or_overlay_is_not_guessed(web: Web, loop: Loop) -> None:
    assert get(web, "/snapshot.jpg?camera=back").status == 404
    assert get(web, "/stream.mjpg?camera=").status == 404
    assert get(web, "/snapshot.jpg?overlay=heat").status == 400
    assert get(web, "/api/history?camera=front").json()["camera"] == "front"


def test_a_camera_whose_name_is_no_text_is_named_all_the_same(web: Web) -> None:
    with looping(web, cameras=("clip\udcff \N{LATIN SMALL LETTER E WITH ACUTE}.mp4",)) as loop:
        assert (
            get(web, "/api/state").json()["cameras"][0]["camera"]
            == "clip\\udcff \N{LATIN SMALL LETTER E WITH ACUTE}.mp4"
        )
        assert get(web, "/metrics").status == 200
        assert get(web, "/snapshot.jpg?camera=clip%5Cudcff%20%C3%A9.mp4").status == 200
        loop.lose(loop.cameras[0], "unplugged")
        until(lambda: get(web, "/healthz").status == 503)


def test_the_state_says_what_runs_and_how_it_is(web: Web, loop: Loop) -> None:
    state = until(lambda: (s := get(web, "/api/state").json())["cameras"][0]["interval_ms"] and s)
    assert state["engine"] == "fixed-fp32"
    assert state["head"] == "default"
    assert state["classes"] == list(ABOUT.classes)
    assert state["stale"] == {}
    (camera,) = state["cameras"]
    assert camera["camera"] == "front"
    assert camera["status"]["state"] == "live"
    assert camera["result"]["label"] in ABOUT.classes
    assert 20 <= camera["age_ms"]["p50"] <= 27
    assert set(camera["age_ms"]) == {"p50", "p95", "p99"}


# -- events


def test_events_and_alarms_are_told_as_they_happen(web: Web, loop: Loop) -> None:
    with streaming(web, "/events") as stream:
        told = messages(stream)
        assert next(told)["event"] in ("status", "result")
        loop.tell(lambda: web.event(event_of("e1", scene(2))))
        loop.tell(lambda: web.alarm(alarm_of()))
        kinds = {}
        while len(kinds) < 4:
            message = next(told)
            kinds[message["event"]] = message
    event = json.loads(kinds["event"]["data"])
    assert (event["id"], event["phase"], event["label"], event["best"]["box"]) == (
        "e1",
        "start",
        "red thing",
        [40, 60, 120, 180],
    )
    assert json.loads(kinds["alarm"]["data"])["p"] == 0.0038
    assert "id" not in kinds["status"], "only what is remembered has an id"
    thumbnail = decoded(get(web, "/thumbnail.jpg?event=e1").body)
    assert thumbnail.shape == (180, 240, 3)


def test_a_client_that_comes_back_is_told_what_it_missed_once(web: Web, loop: Loop) -> None:
    def tell(names: list[str]) -> None:
        for name in names:
            loop.tell(lambda name=name: web.event(event_of(name, scene(0))))  # type: ignore[misc]

    def heard(path: str, headers: dict[str, str], count: int) -> list[tuple[str, str]]:
        with streaming(web, path, headers) as stream:
            events = (m for m in messages(stream) if m["event"] == "event")
            return [(m["id"], json.loads(m["data"])["id"]) for m in (next(events) for _ in range(count))]

    tell(["a", "b", "c"])
    until(lambda: web.hub.timeline.last == 3)
    everything = heard("/events?history=1", {}, 3)
    assert [name for _, name in everything] == ["a", "b", "c"]
    tell(["d"])
    after_a = heard("/events", {"Last-Event-ID": everything[0][0]}, 3)
    assert [name for _, name in after_a] == ["b", "c", "d"]
    other_start = heard("/events", {"Last-Event-ID": "0000-2"}, 4)
    assert [name for _, name in other_start] == ["a", "b", "c", "d"], (
        "an id of an earlier start means nothing"
    )


def test_without_an_id_only_what_is_new_is_told(web: Web, loop: Loop) -> None:
    loop.tell(lambda: web.event(event_of("old", scene(0))))
    until(lambda: web.hub.timeline.last == 1)
    with streaming(web, "/events") as stream:
        told = messages(stream)
        next(told)
        loop.tell(lambda: web.event(event_of("new", scene(0))))
        assert json.loads(next(m for m in told if m["event"] == "event")["data"])["id"] == "new"


def test_results_are_told_ten_times_a_second_at_most(web: Web) -> None:
    with looping(web, fps=100), streaming(web, "/events") as stream:
        told = messages(stream)
        next(told)
        began, results = time.monotonic(), 0
        while time.monotonic() - began < 1.0:
            results += next(told)["event"] == "result"
        assert 2 <= results <= 12


# -- numbers


def test_the_numbers_are_those_that_were_counted(web: Web, loop: Loop) -> None:
    loop.tell(lambda: web.event(event_of("e1", scene(2))))
    loop.tell(lambda: web.event(event_of("e1", scene(2), "end")))
    loop.tell(lambda: web.alarm(alarm_of()))
    until(lambda: web.hub.timeline.last == 3)
    get(web, "/stream.mjpg", method="POST")
    text = get(web, "/metrics").body.decode()
    for line in (
        'edgecam_camera_fresh{camera="front"} 1.0',
        'edgecam_camera_state{camera="front",state="live"} 1.0',
        'edgecam_camera_state{camera="front",state="lost"} 0.0',
        'edgecam_events_total{camera="front",label="red thing"} 1.0',
        'edgecam_alarms_total{camera="front",rule="red thing > 3/h @ p<0.001"} 1.0',
        'edgecam_web_refused_total{why="method"} 1.0',
    ):
        assert line in text.splitlines(), line
    count = re.search(r'edgecam_age_seconds_count{camera="front"} (\d+)', text)
    assert count is not None
    assert int(count[1]) > 0


def test_labels_of_the_metrics_are_bounded(web: Web) -> None:
    for number in range(500):
        web.event(event_of("e", scene(0), label=f"class {number}"))
    text = get(web, "/metrics").body.decode()
    assert len(re.findall(r"edgecam_events_total{", text)) == 201
    assert 'label="other"} 300.0' in text


def test_metrics_are_what_prometheus_reads(web: Web, loop: Loop) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    answer = get(web, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    names = {family.name for family in text_string_to_metric_families(answer.body.decode())}
    assert {"edgecam_age_seconds", "edgecam_frames_captured", "edgecam_camera_fresh"} <= names


# -- beginning and end


def test_it_ends_at_once_though_viewers_and_followers_are_there() -> None:
    with (
        serving() as web,
        looping(web),
        streaming(web, "/stream.mjpg") as one,
        streaming(web, "/events") as two,
    ):
        next(parts(one))
        next(messages(two))
        began = time.monotonic()
        web.close()
        assert time.monotonic() - began < 2.0
    web.close()


def test_the_page_is_read_once_at_the_start(web: Web, loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: object, **__: object) -> None:
        raise AssertionError("a request reached the disk")

    page = get(web, "/").body
    monkeypatch.setattr("pathlib.Path.open", forbidden)
    monkeypatch.setattr("pathlib.Path.read_bytes", forbidden)
    monkeypatch.setattr(builtins, "open", forbidden)
    assert get(web, "/").body == page
    for name in re.findall(rb'"(/page/[^"]+)"', page):
        answer = get(web, name.decode())
        assert answer.status == 200, name
        assert answer.headers["content-type"].split(";")[0] in ("text/css", "text/javascript")
