"""The token: what opens, what does not, and what guessing costs whom."""

import threading
import time

import pytest

from edge.web.web_kit import PATHS, SECRET, get, place_of, raw
from edgecam.sinks.web import Web
from edgecam.web.open import GUESSES


@pytest.mark.parametrize("path", PATHS)
def test_without_the_token_there_is_nothing(locked: Web, path: str) -> None:
    answer = get(locked, path)
    assert answer.status == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert b"front" not in answer.body
    assert SECRET.encode() not in answer.body


def test_the_form_for_the_token_has_what_it_needs(locked: Web) -> None:
    assert b'name="token"' in get(locked, "/").body
    for path in ("/page/style.css", "/favicon.svg"):
        assert get(locked, path).status == 200
    assert get(locked, "/page/main.js").status == 401


def test_the_token_opens_by_header(locked: Web) -> None:
    assert get(locked, "/api/state", {"Authorization": f"Bearer {SECRET}"}).json()["cameras"]


def test_the_form_trades_the_token_for_a_cookie_and_takes_it_out_of_the_address(locked: Web) -> None:
    answer = get(locked, f"/?token={SECRET}")
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert SECRET not in cookie
    assert get(locked, "/api/state", {"Cookie": cookie.split(";")[0]}).status == 200


def test_the_token_in_an_address_counts_nowhere_else(locked: Web) -> None:
    assert get(locked, f"/api/state?token={SECRET}").status == 401
    reply = raw(
        locked,
        f"GET //evil.example/?token={SECRET} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode(),
    )
    assert b"evil.example" not in reply
    assert reply.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer "},
        {"Authorization": "Bearer " + SECRET[:-1]},
        {"Authorization": "Bearer " + SECRET.upper()},
        {"Authorization": "Basic " + SECRET},
        {"Authorization": SECRET},
        {"Authorization": "Bearer \xe9\xff"},
        {"Cookie": "edgecam=" + SECRET},
        {"Cookie": "edgecam_{port}=" + SECRET},
        {"Cookie": "edgecam_{port}="},
        {"Cookie": 'edgecam_{port}="\\377\\000'},
        {"Cookie": "=;=;;=" * 50},
        {"X-Forwarded-For": "127.0.0.1", "Host": "localhost"},
    ],
)
def test_nothing_else_opens(guessed: Web, headers: dict[str, str]) -> None:
    port = str(place_of(guessed)[1])
    assert (
        get(guessed, "/api/state", {k: v.replace("{port}", port) for k, v in headers.items()}).status == 401
    )


def test_guessing_is_slowed_and_counted_and_keeps_nobody_waiting(guessed: Web) -> None:
    began = time.monotonic()
    guessing = [
        threading.Thread(target=get, args=(guessed, "/api/state", {"Authorization": f"Bearer guess-{n}"}))
        for n in range(4)
    ]
    for thread in guessing:
        thread.start()
    answered = 0
    while all(thread.is_alive() for thread in guessing[1:]) or answered < 5:
        assert get(guessed, "/healthz", {"Authorization": f"Bearer {SECRET}"}).status == 200
        answered += any(thread.is_alive() for thread in guessing)
        time.sleep(0.05)
    for thread in guessing:
        thread.join()
    assert time.monotonic() - began >= 2.0, "0.25, 0.5, 1 and 2 s, and meanwhile the right token was answered"
    assert guessed.hub.refused["token"] == 4


def test_many_guesses_at_once_hold_no_connections(guessed: Web) -> None:
    codes: list[int] = []

    def guess(number: int) -> None:
        codes.append(get(guessed, "/", {"Authorization": f"Bearer guess-{number}"}).status)

    guessing = [threading.Thread(target=guess, args=(number,)) for number in range(3 * GUESSES)]
    for thread in guessing:
        thread.start()
    for thread in guessing:
        thread.join()
    assert codes.count(401) + codes.count(429) == 3 * GUESSES
    assert codes.count(429) >= GUESSES
