"""Teaching in a real browser, by a real `edgecam run`, on two looped videos made here."""

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import pytest

from edge.loop_kit import make_bundle
from edge.parts.ports import free_port
from edge.web.web_kit import until
from edgecam_engines.bundle import open_bundle
from edgecam_training.fewshot.teacher import open_teacher

CHROMIUM: Final = Path("/usr/bin/chromium")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is the browser")
WAIT_MS: Final = 60_000
COLOURS: Final = {"yellow": (20, 220, 230), "pink": (200, 60, 220)}  # BGR


def video(
    path: Path, colour: tuple[int, int, int], frames: int = 90, hw: tuple[int, int] = (240, 320)
) -> Path:
    """A chequered square of this colour that goes round on moving noise: no two frames are alike."""
    (h, w), side = hw, 140
    ground = np.random.default_rng(1).integers(20, 90, (h, w, 1))
    checks = np.add.outer(np.arange(side) // 8, np.arange(side) // 8)[..., None] % 2
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (w, h))
    assert writer.isOpened()
    for i in range(frames):
        frame = np.repeat(np.roll(ground, 3 * i, axis=1), 3, axis=2)
        turn = 2 * np.pi * i / frames
        x, y = int((w - side) * (0.5 + 0.5 * np.sin(turn))), int((h - side) * (0.5 + 0.5 * np.cos(turn)))
        frame[y : y + side, x : x + side] = np.array(colour) * (0.75 + 0.25 * checks)
        writer.write(frame.astype(np.uint8))
    writer.release()
    return path


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("videos")
    return {name: video(folder / f"{name}.mp4", colour) for name, colour in COLOURS.items()}


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return make_bundle(tmp_path / "line.edgecam")


class Running:
    """`edgecam run --teach` and a page of it."""

    def __init__(self, url: str, browser: Any, **settings: Any) -> None:
        self.url, self.wrong = url, []  # type: ignore[var-annotated]
        context = browser.new_context(**{"viewport": {"width": 1200, "height": 800}, **settings})
        context.set_default_timeout(WAIT_MS)
        self.page = context.new_page()
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type == "error" else None)
        self.page.on("pageerror", lambda e: self.wrong.append(str(e)))
        self.open()

    def open(self) -> None:
        self.page.goto(self.url, wait_until="domcontentloaded")
        self.page.wait_for_selector("#teach:not([hidden])")

    @property
    def state(self) -> Any:
        with urllib.request.urlopen(f"{self.url}api/teach") as answer:
            return json.load(answer)

    def waits(self, true: Callable[[], Any]) -> Any:
        """Until something is true, while the page goes on."""
        return until(lambda: (self.page.wait_for_timeout(50), true())[1], WAIT_MS / 1e3)

    def watch(self, camera: str) -> None:
        self.page.get_by_label(f"{camera}.mp4", exact=True).check()

    def name(self, name: str) -> None:
        self.page.fill("#class-name", name)
        self.page.wait_for_selector("#hold:not([disabled])")

    def collect(self, name: str, photos: int = 6) -> None:
        """Hold the button by pointer until so many were taken."""
        self.name(name)
        button = self.page.locator("#hold")
        button.scroll_into_view_if_needed()
        box = button.bounding_box()
        self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self.page.mouse.down()
        self.waits(lambda: self.state["taken"] >= photos)
        assert self.page.locator("#hold[data-held]").count() == 1
        self.page.mouse.up()
        self.waits(lambda: self.state["hold"] is None)

    def teach_both(self) -> None:
        for camera, name in (("yellow", "lemon"), ("pink", "rose")):
            self.watch(camera)
            self.collect(name)
        self.waits(lambda: self.state["version"] == 1 and self.state["unlearned"] == 0)

    def answers(self, camera: str, label: str) -> None:
        """The loop says so about this camera, in the page."""
        self.watch(camera)
        self.waits(lambda: self.page.locator("#label").inner_text().startswith(label))

    def photos(self, label: str) -> int:
        return sum(photo["label"] == label for photo in self.state["photos"])


@contextmanager
def running(
    bundle: Path, videos: dict[str, Path], browser: Any, *more: str, **settings: Any
) -> Iterator[Running]:
    port = free_port()
    cameras = [word for path in videos.values() for word in ("--camera", f"{path}?loop=1")]
    options = ["--realtime", "--fps", "8", "--serve", f"127.0.0.1:{port}", "--teach", "taught", *more]
    process = subprocess.Popen(
        [sys.executable, "-m", "edgecam", "run", "--bundle", str(bundle), *cameras, *options],
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    url = f"http://127.0.0.1:{port}/"
    try:
        until(lambda: _answers(f"{url}readyz"), WAIT_MS / 1e3)
        found = Running(url, browser, **settings)
        yield found
        found.page.context.close()
        assert found.wrong == []
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=WAIT_MS / 1e3)
    assert process.returncode == 130, err
    assert b"Traceback" not in err


def _answers(url: str) -> bool:
    with suppress(OSError), urllib.request.urlopen(url) as answer:
        return bool(answer.status == 200)
    return False


def test_two_things_are_taught_and_the_running_loop_answers_with_them(
    bundle: Path, videos: dict[str, Path], browser: Any
) -> None:
    with running(bundle, videos, browser, "--threshold", "0.3") as run:
        page = run.page
        run.answers("yellow", "red thing")  # all that it knows so far
        assert page.locator("#hold").is_disabled(), "a thing needs a name"
        run.watch("yellow")
        run.collect("lemon")
        run.waits(lambda: "only 'lemon'" in page.locator("#teach-hint").inner_text())
        assert page.locator("#accuracy").is_hidden(), "nothing is claimed yet"
        run.watch("pink")
        run.collect("rose")
        page.wait_for_selector("#accuracy:not([hidden])")
        told = page.locator("#accuracy").inner_text()
        right = run.state["figures"]["accuracy"]
        assert re.search(rf"{round(100 * right['value'])} %", told)
        assert f"n {right['n']}" in told
        assert right["n"] == len(run.state["photos"]) >= 12
        run.answers("pink", "rose")
        run.answers("yellow", "lemon")
        assert page.get_by_label("lemon", exact=True).is_checked(), "it is one of the classes now"
        assert page.locator("#head").input_value() == "taught"
        assert page.locator("#taught img").count() == len(run.state["photos"])
        run.waits(
            lambda: page.evaluate("[...document.querySelectorAll('#taught img')][0].naturalWidth") == 112
        )
        # A reload keeps it, and so does the bundle.
        run.open()
        page.wait_for_selector("#taught img")
        assert page.locator("#accuracy-value").inner_text() == f"{round(100 * right['value'])} %"
        assert open_bundle(bundle).head("taught").classes[-2:] == ("lemon", "rose")
        # The base head, chosen in the page, answers as before.
        page.select_option("#head", "default")
        run.answers("yellow", "red thing")
    with running(bundle, videos, browser, "--threshold", "0.3") as run:
        run.answers("pink", "rose")  # from its start


def test_what_was_wrong_is_named_and_removed_and_undone(
    bundle: Path, videos: dict[str, Path], browser: Any, tmp_path: Path
) -> None:
    tray = tmp_path / "tray"
    with running(bundle, videos, browser, "--threshold", "0.3", "--tray", str(tray)) as run:
        page = run.page
        run.teach_both()
        lemons = run.photos("lemon")
        # From the timeline: the event of before was called a red thing.
        page.locator("#timeline li", has_text="red thing").first.get_by_role("button").click()
        page.locator("#mark").wait_for()
        assert page.locator("#mark-called").inner_text() == "red thing"
        page.locator("#mark-names").get_by_role("button", name="lemon").click()
        run.waits(lambda: run.photos("lemon") == lemons + 1 and run.state["version"] == 2)
        page.get_by_text("taught as lemon").first.wait_for()
        # Undone, it is neither a photo nor a version any more.
        page.click("#undo")
        run.waits(lambda: run.photos("lemon") == lemons and run.state["version"] == 1)
        # From the tray, under a name of its own.
        run.waits(lambda: run.state["hard"])
        page.locator("#hard button").first.click()
        page.fill("#mark-name", "custard")
        page.keyboard.press("Enter")
        run.waits(lambda: run.photos("custard") == 1)
        page.locator("#hard").get_by_text("taught as custard").first.wait_for()
        # A photo is renamed, another one removed.
        page.get_by_label(re.compile("Photo of custard")).click()
        page.locator("#mark-names").get_by_role("button", name="lemon").click()
        run.waits(lambda: run.photos("custard") == 0 and run.photos("lemon") == lemons + 1)
        roses = run.photos("rose")
        page.get_by_label("Remove this photo of rose").first.click()
        run.waits(lambda: run.photos("rose") == roses - 1)


def test_by_keyboard_alone_and_on_a_phone(bundle: Path, videos: dict[str, Path], browser: Any) -> None:
    size = {"width": 360, "height": 740}
    with running(bundle, videos, browser, viewport=size, has_touch=True) as run:
        page = run.page
        run.name("lemon")
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "hold"
        page.keyboard.down(" ")
        run.waits(lambda: run.state["taken"] >= 2)
        page.keyboard.up(" ")
        run.waits(lambda: run.state["hold"] is None)
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        assert page.locator("#hold").bounding_box()["height"] >= 44, "a thumb finds it"
        taken = run.state["taken"]
        page.wait_for_timeout(700)
        assert run.state["taken"] == taken, "nothing is taken after it was let go"


def test_who_teaches_on_another_page_or_in_another_program_goes_first(
    bundle: Path, videos: dict[str, Path], browser: Any
) -> None:
    with running(bundle, videos, browser) as run:
        with open_teacher(bundle):
            run.name("lemon")
            run.page.focus("#hold")
            run.page.keyboard.down(" ")
            run.page.get_by_text("is being taught by another program").wait_for()
            run.page.keyboard.up(" ")
            run.waits(lambda: run.state["hold"] is None)
        second = Running(run.url, browser)
        second.name("rose")
        second.page.focus("#hold")
        second.page.keyboard.press(" ")
        second.page.get_by_text("Somebody else is teaching on another page").wait_for()
        assert run.state["photos"] == []
        second.page.context.close()


def test_names_that_are_code_are_shown_as_text(bundle: Path, videos: dict[str, Path], browser: Any) -> None:
    evil = "<img src=x onerror=document.title=1>"
    with running(bundle, videos, browser) as run:
        run.name(evil)
        run.page.focus("#hold")
        run.page.keyboard.down(" ")
        run.waits(lambda: run.state["taken"] >= 1)
        run.page.keyboard.up(" ")
        run.waits(lambda: run.state["hold"] is None)
        run.page.locator("#taught h3").wait_for()
        assert evil in run.page.locator("#taught h3").inner_text()
        assert run.page.locator("img[src=x]").count() == 0
        run.name("../etc")
        run.page.focus("#hold")
        run.page.keyboard.press(" ")
        run.page.get_by_text("A class cannot be called").wait_for()
        assert not (bundle.parent / "etc").exists()
        run.wrong.clear()  # a refusal is an error on the console
