"""Servers: one of a test's own, one that a module shares, and one behind a token."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.web.web_kit import SECRET, Loop, looping, serving
from edgecam.sinks.web import Web


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as made:
        yield made


@pytest.fixture
def loop(web: Web) -> Iterator[Loop]:
    with looping(web) as made:
        yield made


@pytest.fixture(scope="module")
def shared() -> Iterator[Web]:
    """With a loop, for tests that leave nothing behind."""
    with serving() as made, looping(made):
        yield made


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Served at every address of this machine, so behind a token."""
    yield from _locked(tmp_path_factory.mktemp("locked"))


@pytest.fixture
def guessed(tmp_path: Path) -> Iterator[Web]:
    """One more, where nobody has guessed yet."""
    yield from _locked(tmp_path)


def _locked(folder: Path) -> Iterator[Web]:
    token = folder / "token"
    token.write_text(SECRET)
    token.chmod(0o600)
    with serving(serve="0.0.0.0:0", token_file=token) as made, looping(made):
        yield made
