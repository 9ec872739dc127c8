"""The page in a real browser: what a person sees, and that nothing else is asked for."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edge.loop_kit import scene
from edge.web.web_kit import Loop, about, alarm_of, decoded, event_of, looping, place_of, serving, until
from edgecam.sinks.web import Web

CHROMIUM = Path("/usr/bin/chromium")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is the browser")
WAIT_MS = 15_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as made:
        yield made


@pytest.fixture
def loop(web: Web) -> Iterator[Loop]:
    with looping(web, picture=lambda _: scene(2)) as made:
        yield made


@pytest.fixture
def open_page(browser: Any) -> Iterator[Any]:
    """Opens pages, and in the end checks that no page complained or asked anybody else for anything."""
    contexts, wrong = [], []

    def opened(web: Web, *, errors: bool = True, **settings: Any) -> Any:
        context = browser.new_context(**settings)
        context.set_default_timeout(WAIT_MS)
        contexts.append(context)
        page = context.new_page()
        host, port = place_of(web)
        page.on(
            "request",
            lambda r: None if r.url.startswith((f"http://{host}:{port}/", "blob:")) else wrong.append(r.url),
        )
        if errors:
            page.on("console", lambda m: wrong.append(m.text) if m.type in ("error", "warning") else None)
            page.on("pageerror", lambda e: wrong.append(str(e)))
        page.goto(web.url, wait_until="domcontentloaded")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def comes_true(page: Any, script: str) -> None:
    """`wait_for_function` is a string that is evaluated, which the page's policy forbids."""
    until(lambda: (page.wait_for_timeout(30), page.evaluate(script))[1], WAIT_MS / 1e3)


def picture_of(page: Any) -> np.ndarray:
    """The canvas as it is shown, without what lies over it."""
    data = page.evaluate("() => document.getElementById('picture').toDataURL('image/png')")
    return decoded(base64.b64decode(data.partition(",")[2])).astype(int)


def shows_picture(page: Any) -> None:
    comes_true(page, "document.getElementById('picture').width === 320")


def slide(page: Any, value: int) -> None:
    page.locator("#opacity").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }", value
    )


def test_the_picture_is_the_cameras_and_the_slider_blends_the_heat_over_it(
    web: Web, loop: Loop, open_page: Any
) -> None:
    page = open_page(web)
    shows_picture(page)
    page.uncheck("#marks")
    slide(page, 0)
    clean = picture_of(page)
    assert np.abs(clean - scene(2)).mean() < 4
    slide(page, 50)
    half = picture_of(page)
    slide(page, 100)
    full = picture_of(page)
    peak = (120, 80)
    assert full[peak][2] > 240, "red at the peak"
    assert full[peak][1] < 20
    assert np.abs(half[peak] - (clean[peak] + full[peak]) / 2).max() < 12, "half way between both"
    away = full[:, 240:], clean[:, 240:]
    assert np.abs(away[0] - away[1]).mean() < 1, "nothing where there is no heat"
    page.check("#marks")
    assert np.abs(picture_of(page) - full).mean() > 0.5, "box and name"
    assert page.locator("#opacity-out").text_content() == "100 %"


def test_what_is_seen_is_told_with_its_bars(web: Web, open_page: Any) -> None:
    with looping(web, fps=10):
        page = open_page(web)
        comes_true(page, "document.querySelectorAll('#bars li').length === 3")
        assert re.match(r"(blue|green|red) thing\s+90 %", page.locator("#label").inner_text())
        shares = page.locator("#bars li").all_inner_texts()
        assert [re.sub(r".*\n", "", text.strip()) for text in shares] == ["90 %", "5 %", "5 %"]


def test_the_answer_beside_the_picture_is_the_answer_about_it(web: Web, open_page: Any) -> None:
    colours = {"blue thing": 0, "green thing": 1, "red thing": 2}
    with looping(web, fps=12):
        page = open_page(web)
        shows_picture(page)
        slide(page, 0)
        page.uncheck("#marks")
        for _ in range(10):
            page.wait_for_timeout(70)
            label, data = page.evaluate(
                "[document.getElementById('label').firstChild.data.trim(), "
                "document.getElementById('picture').toDataURL('image/png')]"
            )
            shown = decoded(base64.b64decode(data.partition(",")[2])).astype(int)
            assert np.abs(shown - scene(colours[label])).mean() < 4


def test_a_class_that_is_switched_off_is_drawn_and_listed_no_more(
    web: Web, loop: Loop, open_page: Any
) -> None:
    loop.tell(lambda: web.event(event_of("e1", scene(0), label="blue thing")))
    page = open_page(web)
    shows_picture(page)
    slide(page, 100)
    page.wait_for_selector("#timeline li")
    for name in ("blue thing", "green thing", "red thing"):
        page.get_by_label(name, exact=True).uncheck()
    page.wait_for_timeout(200)
    assert np.abs(picture_of(page) - scene(2)).mean() < 4
    assert not page.locator("#timeline li").is_visible()
    page.reload()
    page.wait_for_selector("#classes input")
    assert page.locator("#classes input:checked").count() == 0, "it is kept"
    page.click("#all-classes")
    assert page.locator("#classes input:checked").count() == 3


def test_many_classes_are_found_by_their_name(web: Web, loop: Loop, open_page: Any) -> None:
    web.hub.about = web.hub.about._replace(classes=tuple(f"class {n}" for n in range(200)))
    page = open_page(web)
    page.get_by_label("Find a class").fill("class 19")
    assert page.locator("#classes label:visible").count() == 11
    page.click("#no-classes")
    page.get_by_label("Find a class").fill("")
    assert page.locator("#classes input:checked").count() == 189, "what was not found is left alone"


def test_events_come_with_their_picture_and_end(web: Web, loop: Loop, open_page: Any) -> None:
    page = open_page(web)
    page.get_by_text("Nothing yet").wait_for()
    loop.tell(lambda: web.event(event_of("e1", scene(2))))
    row = page.locator("#timeline li")
    row.wait_for()
    assert "red thing 93 %" in row.inner_text()
    assert "there now" in row.inner_text()
    comes_true(page, "document.querySelector('#timeline img').naturalWidth === 240")
    loop.tell(lambda: web.event(event_of("e1", scene(2), "end")))
    comes_true(page, "!document.querySelector('#timeline li').innerText.includes('there now')")
    assert row.count() == 1, "one event is one row"


def test_an_alarm_is_shown_while_it_fires_and_after(web: Web, loop: Loop, open_page: Any) -> None:
    page = open_page(web)
    page.get_by_text("No alarm.").wait_for()
    loop.tell(lambda: web.alarm(alarm_of()))
    page.locator(".alarm:not([data-over])").wait_for()
    assert "9 in 60 min, 3 expected" in page.locator(".alarm").inner_text()
    loop.tell(lambda: web.alarm(alarm_of(firing=False)))
    page.locator(".alarm[data-over]").wait_for()
    assert page.locator(".alarm").count() == 1


def test_a_lost_camera_is_said_over_a_greyed_picture_until_it_is_back(
    web: Web, loop: Loop, open_page: Any
) -> None:
    page = open_page(web)
    shows_picture(page)
    comes_true(page, "document.getElementById('state').textContent === 'Live'")
    loop.lose("front", "it was unplugged; trying again")
    page.get_by_text("The camera is lost").wait_for()
    notice = page.locator("#notice").inner_text()
    assert "it was unplugged" in notice
    assert "No fresh picture since" in notice
    assert page.locator("#state").inner_text() == "Lost"
    assert page.locator("#label").inner_text() == "No fresh picture", "an old answer is none"
    assert "grayscale" in page.locator("#picture").evaluate("e => getComputedStyle(e).filter")
    loop.find("front")
    comes_true(page, "document.getElementById('notice').hidden")
    comes_true(page, "document.getElementById('label').textContent.startsWith('red thing')")


def test_another_head_brings_its_classes_to_pages_that_are_open(web: Web, loop: Loop, open_page: Any) -> None:
    page = open_page(web)
    page.get_by_label("red thing", exact=True).wait_for()
    web.describe(about(("left", "right")))
    page.get_by_label("right", exact=True).wait_for()
    assert page.locator("#classes input").count() == 2


def test_a_loop_that_hangs_is_said_too(web: Web, open_page: Any) -> None:
    with looping(web):
        page = open_page(web)
        comes_true(page, "document.getElementById('state').textContent === 'Live'")
    page.evaluate("() => { const now = Date.now; Date.now = () => now() + 7000; }")
    page.get_by_text("The camera loop is silent").wait_for()


def test_the_page_comes_back_by_itself_when_the_server_does(open_page: Any) -> None:
    with serving() as web, looping(web, picture=lambda _: scene(2)):
        page = open_page(web, errors=False)  # a server that is away is an error on the console
        shows_picture(page)
        port = place_of(web)[1]
    page.get_by_text("The device does not answer").wait_for()
    with serving(serve=f"127.0.0.1:{port}") as again, looping(again, picture=lambda _: scene(0)) as loop:
        comes_true(page, "document.getElementById('notice').hidden")
        loop.tell(lambda: again.event(event_of("new", scene(0))))
        page.wait_for_selector("#timeline li")
        until(
            lambda: (
                page.wait_for_timeout(100),
                np.abs(picture_of(page)[:, 200:] - scene(0)[:, 200:]).mean() < 6,
            )[1]
        )


def test_one_of_several_cameras_is_chosen_and_kept(web: Web, open_page: Any) -> None:
    with looping(web, cameras=("north", "south")) as loop:
        page = open_page(web)
        page.get_by_label("south", exact=True).check()
        until(lambda: (page.wait_for_timeout(50), web.hub.pictures.newest("south", "none"))[1])
        assert page.locator("#save").get_attribute("href") == "/snapshot.jpg?overlay=none&camera=south"
        loop.lose("north")
        page.locator('.chip[data-state="lost"]').wait_for()
        assert page.locator("#notice").is_hidden(), "the one that is watched is well"
        page.reload()
        page.wait_for_selector("#cameras input:checked")
        assert page.locator("#cameras input:checked").get_attribute("value") == "south"


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_it_is_dark_or_light_as_the_system_is_unless_it_is_told(
    web: Web, open_page: Any, scheme: str
) -> None:
    page = open_page(web, color_scheme=scheme)

    def brightness() -> int:
        rgb = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(int(part) for part in re.findall(r"\d+", rgb)[:3]) // 3

    assert (brightness() > 128) == (scheme == "light")
    page.click("#theme")
    assert page.locator("#theme").inner_text() == "Theme: dark"
    assert brightness() < 128
    page.click("#theme")
    assert brightness() > 128
    page.reload()
    assert brightness() > 128, "it is kept"


@pytest.mark.parametrize("width", [320, 375, 768, 1440])
def test_it_fits_every_width(web: Web, open_page: Any, width: int) -> None:
    long = "a camera with quite a long name " * 3
    with looping(web, cameras=(long, "south")) as loop:
        loop.tell(lambda: web.event(event_of("e1", scene(0), label="averylongclassname" * 6, camera=long)))
        loop.tell(lambda: web.alarm(alarm_of()))
        page = open_page(web, viewport={"width": width, "height": 812})
        page.wait_for_selector("#timeline li")
        page.wait_for_selector("#health dl")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#picture").bounding_box()["width"] > 0.6 * width or width > 960


def test_everything_can_be_reached_by_keyboard_and_is_seen_to_be(
    web: Web, loop: Loop, open_page: Any
) -> None:
    loop.tell(lambda: web.event(event_of("e1", scene(0))))
    page = open_page(web)
    page.wait_for_selector("#timeline li")
    page.wait_for_selector("#classes input")
    wanted = {"theme", "opacity", "marks", "save", "full"}
    reached, nameless, unseen = set(), [], []
    for _ in range(20):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            """() => { const e = document.activeElement; const c = e.closest('.chip') || e; return {
                id: e.id, tag: e.tagName, outline: getComputedStyle(c).outlineStyle,
                name: e.ariaLabel || e.textContent || [...(e.labels || [])].map(l => l.textContent).join()
            } }"""
        )
        reached.add(seen["id"])
        if seen["tag"] != "BODY":
            nameless += [] if seen["name"].strip() else [seen]
            unseen += [seen] if seen["outline"] == "none" else []
    assert wanted <= reached
    assert nameless == []
    assert unseen == []
    page.focus("#opacity")
    page.keyboard.press("Home")
    assert page.locator("#opacity-out").text_content() == "0 %"


def test_without_javascript_there_is_still_the_picture(web: Web, loop: Loop, open_page: Any) -> None:
    page = open_page(web, java_script_enabled=False)
    page.wait_for_selector("noscript img, .stage img")
    until(lambda: web.hub.watchers.taken == 1)
    assert page.locator("#opacity").is_hidden()
    until(lambda: (page.wait_for_timeout(100), web.hub.pictures.newest("front", "cam"))[1])


def test_names_that_are_code_do_nothing(open_page: Any) -> None:
    evil = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    with (
        serving(classes=(evil, "b", "c")) as web,
        looping(web, cameras=(evil, "x"), classes=(evil, "b", "c")) as loop,
    ):
        loop.tell(lambda: web.event(event_of("e1", scene(0), label=evil, camera=evil)))
        loop.tell(lambda: web.alarm(alarm_of(camera=evil, rule=evil)._replace(label=evil)))
        page = open_page(web)
        page.wait_for_selector("#timeline li")
        page.wait_for_selector(".alarm")
        page.wait_for_selector("#health dl")
        assert page.locator("#timeline b").inner_text().startswith(evil)
        assert page.locator("main img[src=x], main script").count() == 0
        assert page.title() == "colours · edgecam"


def test_a_tab_that_nobody_looks_at_costs_no_encoding(web: Web, loop: Loop, open_page: Any) -> None:
    page = open_page(web)
    shows_picture(page)
    assert web.hub.watchers.taken == 1
    page.evaluate(
        """() => { Object.defineProperty(document, 'hidden', { get: () => true, configurable: true });
                   document.dispatchEvent(new Event('visibilitychange')); }"""
    )
    until(lambda: (page.wait_for_timeout(50), web.hub.watchers.taken == web.hub.followers.taken == 0)[1])
    page.evaluate(
        """() => { Object.defineProperty(document, 'hidden', { get: () => false });
                   document.dispatchEvent(new Event('visibilitychange')); }"""
    )
    until(lambda: (page.wait_for_timeout(50), web.hub.watchers.taken == web.hub.followers.taken == 1)[1])
    comes_true(page, "document.getElementById('state').textContent === 'Live'")


def test_times_are_right_though_the_devices_clock_is_years_off(web: Web, loop: Loop, open_page: Any) -> None:
    page = open_page(web, locale="en-GB")
    comes_true(page, "document.getElementById('state').textContent === 'Live'")
    page.evaluate("() => { const now = Date.now; Date.now = () => now() + 5 * 365 * 86400e3; }")
    loop.lose("front")
    page.get_by_text("The camera is lost").wait_for()
    page.wait_for_timeout(1200)
    assert re.search(r"\(\d(\.\d)? s\)", page.locator("#notice-since").inner_text())


def test_behind_a_token_a_person_types_it_once(open_page: Any, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("a-secret-of-some-length")
    token.chmod(0o600)
    with serving(token_file=token) as web, looping(web):
        page = open_page(web, errors=False)  # 401 is an error on the console
        page.get_by_label("Token").fill("a-secret-of-some-length")
        page.get_by_role("button", name="Open").click()
        shows_picture(page)
        assert page.url == web.url, "the token is not in the address"
        assert "a-secret" not in page.evaluate("document.cookie + history.length + location.href")
