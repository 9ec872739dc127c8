"""Changing requests: what they must show, what is refused, and that nothing changes then."""

import http.client
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import cv2
import pytest

from edge.teaching.teaching_kit import ListTutors, desk_of, textured
from edge.web.web_kit import SECRET, Reply, about, event_of, get, looping, place_of, raw, until
from edgecam.sinks.tray import UNLABELLED
from edgecam.sinks.web import Teachable, Web
from edgecam.web.changes import LONGEST_BODY

ACTIONS = ("collect", "release", "leave", "mark", "relabel", "remove", "undo", "use")


class Served:
    """A page that may teach, with a loop that shows it `front`."""

    def __init__(self, web: Web, tutors: ListTutors) -> None:
        self.web, self.tutors = web, tutors
        self.auth: dict[str, str] = {}

    @property
    def state(self) -> Any:
        return get(self.web, "/api/teach", self.auth).json()

    @property
    def good(self) -> dict[str, str]:
        """What this page's own requests bring."""
        host, port = place_of(self.web)
        return {
            "Host": f"{host}:{port}",
            "Origin": f"http://{host}:{port}",
            "Sec-Fetch-Site": "same-origin",
            "Content-Type": "application/json",
            "X-Edgecam-Key": self.state["key"],
            **self.auth,
        }

    def post(self, action: str, body: Any = None, **other: str | None) -> Reply:
        """With headers added, replaced or, where None, left out."""
        named = {name.replace("_", "-"): value for name, value in other.items()}
        lower = {name.lower(): value for name, value in named.items()}
        headers = {name: value for name, value in self.good.items() if name.lower() not in lower}
        headers |= {name: value for name, value in named.items() if value is not None}
        content = body if isinstance(body, bytes) else json.dumps({"page": "mine", **(body or {})}).encode()
        connection = http.client.HTTPConnection(*place_of(self.web), timeout=10)
        try:
            connection.request("POST", f"/api/teach/{action}", content, headers)
            answer = connection.getresponse()
            return Reply(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()


@pytest.fixture
def tray(tmp_path: Path) -> Path:
    folder = tmp_path / "tray" / UNLABELLED
    folder.mkdir(parents=True)
    cv2.imwrite(str(folder / "2026-01-01T000000.000Z-front-7.jpg"), textured(7))
    about_it = {"label": "red thing", "why": ["close"]}
    (folder / "2026-01-01T000000.000Z-front-7.json").write_text(json.dumps(about_it))
    return tmp_path / "tray"


@pytest.fixture
def served(tray: Path) -> Iterator[Served]:
    yield from _serve(tray)


@pytest.fixture
def locked(tray: Path, tmp_path: Path) -> Iterator[Served]:
    token = tmp_path / "token"
    token.write_text(SECRET)
    token.chmod(0o600)
    yield from _serve(tray, token)


def _serve(tray: Path, token: Path | None = None) -> Iterator[Served]:
    tutors = ListTutors()
    with desk_of(tutors) as desk:
        web = Web(
            "127.0.0.1:0", about(), say=lambda words: None, token_file=token, teaching=Teachable(desk, tray)
        )
        try:
            with looping(web):
                found = Served(web, tutors)
                found.auth = {"Authorization": f"Bearer {SECRET}"} if token else {}
                yield found
        finally:
            web.close()


def unchanged(served: Served) -> bool:
    return served.tutors.opened == 0 and served.state["hold"] is None


# -- what is allowed


def test_this_pages_own_requests_are_done(served: Served) -> None:
    assert served.post("collect", {"label": "mug", "camera": "front"}).status == 202
    assert served.state["hold"] == {"label": "mug", "camera": "front"}
    assert served.post("release").status == 202
    assert served.state["hold"] is None


def test_a_wrong_event_and_a_hard_frame_are_taught_and_their_pictures_shown(served: Served) -> None:
    served.web.event(event_of("e1", textured(3)))
    assert served.post("mark", {"event": "e1", "label": "mug"}).status == 202
    (hard,) = served.state["hard"]
    assert (hard["label"], hard["why"]) == ("red thing", ["close"])
    assert get(served.web, f"/teach/hard.jpg?name={hard['name']}").headers["content-type"] == "image/jpeg"
    assert served.post("mark", {"hard": hard["name"], "label": "cup"}).status == 202
    until(lambda: len(served.state["photos"]) == 2)
    assert {(p["label"], p["source"]) for p in served.state["photos"]} == {
        ("mug", "event e1"),
        ("cup", f"tray {hard['name']}"),
    }


def test_another_head_is_chosen_among_those_there_are(served: Served) -> None:
    assert served.post("use", {"head": "taught"}).status == 202
    assert served.web.hub.desk is not None
    assert served.web.hub.desk.choice.wished() == "taught"
    assert served.post("use", {"head": "../../etc"}).status == 404


def test_a_program_that_shows_the_token_needs_no_origin_but_the_key(locked: Served) -> None:
    assert locked.post("leave", Origin=None, Sec_Fetch_Site=None).status == 202
    assert locked.post("leave", Origin=None, Sec_Fetch_Site=None, X_Edgecam_Key=None).status == 403


# -- what is not


FOREIGN: Final[tuple[tuple[dict[str, str | None], int], ...]] = (
    ({"Origin": "https://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": None}, 403),
    ({"Origin": "http://127.0.0.1:1"}, 403),
    ({"Origin": "ftp://{host}"}, 403),
    ({"Origin": "http://{host}/path"}, 403),
    ({"Origin": "http://you@{host}"}, 403),
    ({"Sec_Fetch_Site": "cross-site"}, 403),
    ({"Sec_Fetch_Site": "same-site"}, 403),
    ({"Sec_Fetch_Site": "none"}, 403),
    ({"X_Edgecam_Key": None}, 403),
    ({"X_Edgecam_Key": "guess"}, 403),
    ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
    ({"Content_Type": "text/plain"}, 415),
    ({"Content_Type": "application/x-www-form-urlencoded"}, 415),
    ({"Content_Type": None}, 415),
    ({"Authorization": f"Bearer {SECRET}", "Origin": None}, 403),
)


@pytest.mark.parametrize("action", ACTIONS)
def test_what_another_page_could_send_changes_nothing(served: Served, action: str) -> None:
    body = {"label": "mug", "camera": "front", "head": "taught", "event": "e1", "id": "1"}
    host = served.good["Host"]
    for other, status in FOREIGN:
        sent = {name: value and value.replace("{host}", host) for name, value in other.items()}
        assert served.post(action, body, **sent).status == status, other
    assert unchanged(served)


@pytest.mark.parametrize("given", [None, "Bearer guess-guess-guess-guess"])
def test_without_the_token_nothing_is_changed_though_all_else_is_right(
    locked: Served, given: str | None
) -> None:
    answer = locked.post("collect", {"label": "mug", "camera": "front"}, Authorization=given)
    assert answer.status in (401, 403)
    assert unchanged(locked)


@pytest.mark.parametrize("label", ["../mug", "a/b", ".hidden", "", "x" * 400, 7, None, ["mug"], {"a": 1}])
def test_a_label_that_can_be_no_name_is_refused_with_words(served: Served, label: Any) -> None:
    served.web.event(event_of("e1", textured(3)))
    for action, body in (("collect", {"camera": "front"}), ("mark", {"event": "e1"})):
        answer = served.post(action, {**body, "label": label})
        assert answer.status == 400
        assert answer.body
    assert unchanged(served)


@pytest.mark.parametrize(
    ("action", "body"),
    [
        ("collect", {"label": "mug", "camera": "../../dev/video0"}),
        ("mark", {"label": "mug", "event": "../../etc/passwd"}),
        ("mark", {"label": "mug", "hard": "../../../etc/passwd"}),
        ("mark", {"label": "mug", "hard": "/etc/passwd"}),
        ("mark", {"label": "mug", "hard": "2026-01-01T000000.000Z-front-7.json"}),
        ("relabel", {"label": "mug", "id": "../../current"}),
        ("remove", {"id": "../photos/x"}),
        ("use", {"head": "/etc"}),
    ],
)
def test_names_are_looked_up_and_never_opened(served: Served, action: str, body: dict[str, str]) -> None:
    assert served.post(action, body).status == 404
    assert unchanged(served)


@pytest.mark.parametrize("path", ["photo.jpg?id=../../x", "hard.jpg?name=../../../etc/passwd", "hard.jpg"])
def test_pictures_are_looked_up_too(served: Served, path: str) -> None:
    assert get(served.web, f"/teach/{path}").status == 404


def test_a_link_in_the_tray_leads_nowhere(served: Served, tray: Path) -> None:
    (tray / UNLABELLED / "2027-link.jpg").symlink_to("/etc/passwd")
    until(lambda: len(served.state["hard"]) == 1)
    assert get(served.web, "/teach/hard.jpg?name=2027-link.jpg").status == 404


@pytest.mark.parametrize("body", [b"", b"[]", b"7", b"{", b'"x"', b"\xff\xfe", b"[" * 1500])
def test_a_body_that_is_no_object_is_refused(served: Served, body: bytes) -> None:
    assert served.post("undo", body).status in (400, 411, 413)
    assert unchanged(served)


def test_a_body_that_is_too_long_is_refused_before_it_is_read(served: Served) -> None:
    for length in (str(LONGEST_BODY + 1), "9" * 30):
        reply = raw(served.web, _head(served, f"Content-Length: {length}"), 2)
        assert reply.startswith(b"HTTP/1.1 413 ") or reply.startswith(b"HTTP/1.1 400 ")
    for head in ("Transfer-Encoding: chunked", "X: y", "Content-Length: -1"):
        assert re.match(rb"HTTP/1.1 (411|400) ", raw(served.web, _head(served, head), 2))
    assert unchanged(served)


def test_a_body_that_never_comes_keeps_nothing_open(served: Served) -> None:
    reply = raw(served.web, _head(served, "Content-Length: 40"), 8)
    assert reply.startswith(b"HTTP/1.1 408 ")
    assert get(served.web, "/healthz").status == 200


def _head(served: Served, more: str) -> bytes:
    lines = [f"{name}: {value}" for name, value in served.good.items()]
    return "\r\n".join(["POST /api/teach/undo HTTP/1.1", *lines, more, "", ""]).encode()


def test_many_changes_at_once_are_too_many(served: Served) -> None:
    codes = [served.post("leave").status for _ in range(60)]
    assert set(codes) == {202, 429}
    assert get(served.web, "/healthz").status == 200, "and looking is not hindered"


def test_a_second_page_is_told_that_somebody_else_teaches(served: Served) -> None:
    assert served.post("collect", {"label": "mug", "camera": "front"}).status == 202
    answer = served.post("collect", {"label": "cup", "camera": "front", "page": "yours"})
    assert (answer.status, answer.body) == (409, b"Somebody else is teaching on another page. Wait a moment.")
    assert served.state["hold"]["label"] == "mug"
    assert served.post("leave").status == 202
    assert served.post("collect", {"label": "cup", "camera": "front", "page": "yours"}).status == 202


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_changes_come_by_post_alone_and_post_goes_nowhere_else(served: Served, method: str) -> None:
    for action in ACTIONS:
        assert get(served.web, f"/api/teach/{action}", served.good, method).status == 405
    for path in ("/", "/api/teach", "/api/state", "/teach/photo.jpg", "/api/teach/undo/", "/api/teach/UNDO"):
        assert get(served.web, path, {**served.good, "Content-Length": "2"}, "POST").status in (404, 405)
    assert unchanged(served)


def test_where_teaching_is_off_nothing_of_it_is_there(shared: Web) -> None:
    assert get(shared, "/api/state").json()["teach"] is False
    assert get(shared, "/api/teach").status == 404
    for action in ACTIONS:
        assert get(shared, f"/api/teach/{action}", method="POST").status == 405
