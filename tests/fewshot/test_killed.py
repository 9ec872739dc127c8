"""Whoever teaches may be killed at any moment, again and again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from edgecam_engines.bundle import open_bundle
from edgecam_engines.errors import BundleError
from edgecam_engines.taught.versions import current, folder_of
from edgecam_training.fewshot.store import open_store
from edgecam_training.fewshot.teacher import open_teacher

LIVES = 20
LONGEST = 0.12  # seconds: some dozens of photos and a handful of versions


@contextmanager
def teaching(bundle: Path) -> Iterator[tuple[IO[str], IO[str]]]:
    """The kit's stdin and stdout; whatever it started is gone at the end."""
    kit = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("kill_kit.py")), str(bundle)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert kit.stdin is not None
    assert kit.stdout is not None
    try:
        yield kit.stdin, kit.stdout
    finally:
        os.killpg(kit.pid, signal.SIGKILL)
        kit.communicate()


def begin(words: IO[str], told: IO[str]) -> int:
    """The process that teaches in the next life."""
    words.write("\n")
    words.flush()
    return int(told.readline())


def kill(process: int, told: IO[str]) -> list[str]:
    """What it had said before it died."""
    os.kill(process, signal.SIGKILL)
    return list(iter(lambda: told.readline().rstrip("\n"), "dead"))


@pytest.mark.parametrize("seed", range(2))
def test_killed_at_random_moments_no_photo_and_no_head_that_was_told_of_is_lost(
    fixed_bundle: Path, seed: int
) -> None:
    folder, kept, version = folder_of(fixed_bundle, "taught"), set[str](), 0
    with teaching(fixed_bundle) as (words, told):
        for life, wait in enumerate(np.random.default_rng(seed).uniform(0, LONGEST, LIVES), 1):
            process = begin(words, told)
            time.sleep(wait)
            said = kill(process, told)
            kept |= {line for line in said if len(line) == 32}
            version = max([version, *(int(line.split()[1]) for line in said if line.startswith("version"))])
            store = open_store(folder)
            assert kept <= set(store.examples)
            assert len(store.examples) <= len(kept) + life  # at most the one in hand of each life
            assert store.bad == []
            if version:
                assert (current(folder) or 0) >= version
                assert open_bundle(fixed_bundle).head("taught").classes
    assert version > 0
    with open_teacher(fixed_bundle) as teacher:  # nobody holds it any more, and it goes on
        assert teacher.fit().taught.version > version


def test_while_somebody_teaches_a_second_teacher_is_told_who(fixed_bundle: Path) -> None:
    with teaching(fixed_bundle) as (words, told):
        process = begin(words, told)
        with pytest.raises(BundleError, match=f"process {process}"), open_teacher(fixed_bundle):
            pass
        kill(process, told)
        with open_teacher(fixed_bundle):
            pass
