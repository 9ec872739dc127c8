"""Addresses and tokens: what may be served where, and what to type when it may not."""

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.web.web_kit import ABOUT, SECRET
from edgecam.sinks.web import Web
from edgecam.web.address import Address, listen, parse_address
from edgecam.web.token import Token, read_token
from edgecam_engines.errors import OutputError

LOOPBACK = Address("127.0.0.1", 8080, socket.AF_INET, loopback=True)
OPEN = Address("192.0.2.1", 8080, socket.AF_INET, loopback=False)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("127.0.0.1:8080", "127.0.0.1", 8080),
        (":8081", "127.0.0.1", 8081),
        ("8082", "127.0.0.1", 8082),
        ("[::1]:8083", "::1", 8083),
        ("127.9.9.9:1", "127.9.9.9", 1),
    ],
)
def test_addresses_of_this_machine_alone(text: str, host: str, port: int) -> None:
    found = parse_address(text)
    assert (found.host, found.port, found.loopback) == (host, port, True)


@pytest.mark.parametrize("text", ["0.0.0.0:8080", "[::]:8080", "192.0.2.7:80", "[2001:db8::1]:80"])
def test_any_other_address_is_not_loopback(text: str) -> None:
    assert not parse_address(text).loopback


@pytest.mark.parametrize(
    "text",
    ["", "here", "127.0.0.1", "::1:8080", "1.2.3.4:65536", "a b:80", "[::1]", "http://x:1", "x:-1", ":8080/"],
)
def test_what_is_no_address_is_told_how_one_is_written(text: str) -> None:
    with pytest.raises(OutputError, match="--serve"):
        parse_address(text)


@given(st.text(max_size=40))
def test_no_text_is_misread(text: str) -> None:
    try:
        found = parse_address(text) if not any(c.isalpha() for c in text) else LOOPBACK
    except OutputError:
        return
    assert 0 <= found.port <= 65535


def test_a_port_in_use_is_said_before_anything_else_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(OutputError, match="another program uses this port"):
            Web(f"127.0.0.1:{port}", ABOUT, say=print)


def test_an_address_of_another_machine_is_said() -> None:
    with pytest.raises(OutputError, match="ip addr"):
        listen(parse_address("192.0.2.1:8080"))


# -- tokens


def token_file(folder: Path, content: str, mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_text(content)
    path.chmod(mode)
    return path


def test_loopback_needs_no_token_and_takes_one() -> None:
    assert read_token(None, LOOPBACK) is None


def test_any_other_address_asks_for_a_token_and_says_how_to_make_one() -> None:
    with pytest.raises(OutputError, match=r"token_urlsafe\(32\)\)' > token && chmod 600 token"):
        read_token(None, OPEN)
    with pytest.raises(OutputError, match="--token-file"):
        Web("0.0.0.0:0", ABOUT, say=print)


def test_the_token_is_what_stands_in_the_file(tmp_path: Path) -> None:
    token = read_token(token_file(tmp_path, SECRET + "\n"), LOOPBACK)
    assert token is not None
    assert token.matches(SECRET)


@pytest.mark.parametrize(
    ("content", "mode", "words"),
    [
        ("", 0o600, "is empty"),
        (" \n", 0o600, "is empty"),
        ("short", 0o600, "at least 16"),
        ("two words are not a token", 0o600, "single word"),
        ("é" * 20, 0o600, "plain letters"),
        ("x" * 2000, 0o600, "cannot be read"),
        (SECRET, 0o604, "chmod 600"),
        (SECRET, 0o602, "chmod 600"),
    ],
)
def test_a_token_file_that_is_not_safe_is_refused(
    tmp_path: Path, content: str, mode: int, words: str
) -> None:
    with pytest.raises(OutputError, match=words):
        read_token(token_file(tmp_path, content, mode), OPEN)


def test_a_token_file_that_is_missing_or_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is not there"):
        read_token(tmp_path / "none", OPEN)
    with pytest.raises(OutputError, match="cannot be read"):
        read_token(tmp_path, OPEN)


@given(st.text(max_size=50))
def test_nothing_but_the_token_matches(given_text: str) -> None:
    token = Token(SECRET)
    assert token.matches(given_text) == (given_text == SECRET)
    assert token.matches_cookie(given_text) == (given_text == token.cookie)


def test_the_cookie_does_not_hold_the_token_and_survives_a_restart() -> None:
    assert SECRET not in Token(SECRET).cookie
    assert Token(SECRET).cookie == Token(SECRET).cookie != Token(SECRET + "2").cookie
