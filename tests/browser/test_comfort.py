"""What the script adds: slider, larger view, filter, sorting, keys, the file of names, the map."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.browser.conftest import Opened

Visit = Callable[..., Opened]


def clip(pair: Any) -> str:
    """Return how the map of a pair is clipped."""
    return str(pair.locator(".over").evaluate("e => getComputedStyle(e).clipPath"))


def test_a_slider_goes_from_photograph_to_map(visit: Visit) -> None:
    page = visit("ring").page
    pair = page.locator(".tile .pair:visible").first
    pair.scroll_into_view_if_needed()
    slider = pair.locator("input[type=range]")
    assert clip(pair) == "inset(0px 0px 0px 50%)"

    slider.focus()
    page.keyboard.press("Home")
    assert clip(pair) == "inset(0px)" or clip(pair) == "inset(0px 0px 0px 0%)"
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    assert clip(pair) == "inset(0px 0px 0px 3%)"
    assert "image to map" in slider.get_attribute("aria-label").lower()


def test_a_picture_that_comes_near_twice_at_once_has_one_slider(visit: Visit) -> None:
    # Laying out what was out of sight moves pictures into sight, out of it and in again.
    twice = """
      window.IntersectionObserver = class {
        constructor(told) { this.told = told; }
        observe(target) {
          const near = { target, isIntersecting: true };
          setTimeout(() => this.told([near, near]));
        }
        unobserve() {}
      };
    """
    page = visit("ring", first=twice).page

    page.locator(".tile .wipe:visible").first.wait_for(state="attached")
    sliders = page.locator(".pair.compare").evaluate_all(
        "pairs => pairs.map(pair => pair.querySelectorAll('.wipe').length)"
    )
    assert len(sliders) > 3 and set(sliders) == {1}


def test_dragging_on_a_picture_moves_the_slider_and_does_not_enlarge(visit: Visit) -> None:
    page = visit("ring").page
    pair = page.locator(".tile .pair:visible").first
    pair.scroll_into_view_if_needed()
    box = pair.locator(".photo").first.bounding_box()

    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + 40, steps=5)
    page.mouse.up()

    assert abs(int(pair.locator("input").input_value()) - 80) <= 2
    assert page.locator("dialog[open]").count() == 0


def test_one_slider_moves_all(visit: Visit) -> None:
    page = visit("ring").page

    page.locator("#wipes").fill("10")
    page.locator(".tile .pair:visible").first.scroll_into_view_if_needed()

    page.locator(".tile .wipe:visible").first.wait_for()
    assert set(page.locator(".wipe").evaluate_all("all => all.map(e => e.value)")) == {"10"}
    assert clip(page.locator(".tile .pair:visible").last) == "inset(0px 0px 0px 10%)"


def test_a_picture_opens_larger_and_the_arrows_go_on(visit: Visit) -> None:
    page = visit("ring").page
    first = page.locator(".tile .photo:visible").first
    small = first.bounding_box()["width"]

    first.click()
    view = page.locator("dialog.light")
    assert view.is_visible()
    assert view.locator(".photo").first.bounding_box()["width"] > 2 * small
    before = view.locator("p").last.text_content()
    page.keyboard.press("ArrowRight")
    assert view.locator("p").last.text_content() != before
    page.keyboard.press("ArrowLeft")
    assert view.locator("p").last.text_content() == before
    page.keyboard.press("Escape")
    assert not view.is_visible()


def test_a_picture_opens_by_keyboard_alone(visit: Visit) -> None:
    page = visit("ring").page
    picture = page.locator(".tile .photo:visible").first

    picture.focus()
    page.keyboard.press("Enter")

    view = page.locator("dialog.light")
    assert view.is_visible()
    # The slider of the larger view answers to the arrows, and does not turn the page.
    caption = view.locator("p").last.text_content()
    view.locator("input").focus()
    page.keyboard.press("ArrowRight")
    assert view.locator("input").input_value() == "51"
    assert view.locator("p").last.text_content() == caption


def test_findings_are_filtered_by_severity_and_by_word(visit: Visit) -> None:
    page = visit("ring").page
    cards = page.locator("[data-card]:visible")

    page.locator('[data-severity="medium"]').click()
    assert cards.count() == 1
    assert page.locator("#found").text_content() == "1 of 2 shown"
    page.locator('[data-severity=""]').click()
    assert cards.count() == 2
    page.locator("#find").fill("ISIC_0011")
    assert cards.count() == 1
    assert "Black ring" in str(cards.first.text_content())
    page.locator("#find").fill("no such word")
    assert cards.count() == 0


def test_a_link_to_a_finding_shows_it_although_it_is_filtered_out(visit: Visit) -> None:
    page = visit("ring").page
    page.locator('[data-severity="medium"]').click()

    page.locator(".rows a").first.click()

    assert page.locator("#finding-1").is_visible()


def test_a_table_is_sorted_by_its_heads(visit: Visit) -> None:
    page = visit("ring").page
    page.locator("#not-found summary").click()
    table = page.locator("#not-found table").last
    table.hover()
    head = table.locator("th button").nth(2)

    def column() -> list[str]:
        return [str(t) for t in table.locator("tbody td:nth-child(3)").all_text_contents()]

    assert column() == ["64", "6"]
    head.click()
    assert column() == ["6", "64"]
    assert table.locator("th").nth(2).get_attribute("aria-sort") == "ascending"
    head.click()
    assert column() == ["64", "6"]


def test_keys_move_and_can_be_turned_off(visit: Visit) -> None:
    page = visit("ring").page
    focused = "document.activeElement.id"

    page.keyboard.press("j")
    assert page.evaluate(focused) == "findings"
    page.keyboard.press("j")
    assert page.evaluate(focused) == "finding-1"
    page.keyboard.press("k")
    assert page.evaluate(focused) == "findings"
    page.keyboard.press("/")
    assert page.evaluate(focused) == "find"
    page.keyboard.type("j")
    assert page.locator("#find").input_value() == "j"
    page.locator("#find").fill("")
    page.locator("#keys").click()
    assert page.locator(".help-keys").is_visible()
    page.locator(".help-keys input").uncheck()
    page.keyboard.press("Escape")
    page.locator("h1").click()
    theme = "document.documentElement.dataset.theme"
    page.keyboard.press("t")
    assert page.evaluate(theme) is None


def test_the_affected_images_are_saved_as_a_table(visit: Visit, tmp_path: Path) -> None:
    page = visit("hostile").page
    box = page.locator(".affected").first
    box.locator("summary").click()

    with page.expect_download() as download:
        box.locator("button").click()
    path = tmp_path / "names.csv"
    download.value.save_as(path)

    rows = list(csv.reader(path.open(encoding="utf-8", newline="")))
    assert rows[0] == ["finding", "image"]
    assert len(rows) == 12
    assert "'=cmd|' /C calc'!A0" in {image for _, image in rows}
    assert not any(image.startswith(("=", "+", "-", "@")) for _, image in rows)
    assert download.value.suggested_filename == "finding-1.csv"


def test_the_map_names_the_image_under_the_pointer(visit: Visit) -> None:
    page = visit("ring").page
    said = page.locator(".plane-said")
    plane = page.locator(".plane svg")
    plane.scroll_into_view_if_needed()
    x, y = plane.evaluate(
        """svg => {
          const [x, y] = svg.querySelector(".dots").getAttribute("d").match(/[0-9.]+/g).map(Number);
          const at = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM());
          return [at.x, at.y];
        }"""
    )

    page.mouse.move(x, y)

    assert "point_" in str(said.text_content()) and "predicted" in str(said.text_content())
    assert page.locator(".here").count() == 1


def test_a_cluster_can_be_taken_off_the_map(visit: Visit) -> None:
    page = visit("ring").page

    page.locator('[data-toggle="0"]').uncheck()
    assert not page.locator('[data-cloud="0"]').is_visible()
    page.locator('[data-toggle="0"]').check()
    page.locator("#only-wrong").check()
    assert page.locator(".plane .dots:visible").count() == page.locator(".plane .is-wrong").count()


def test_the_contents_follow_the_scroll(visit: Visit) -> None:
    page = visit("ring").page

    page.locator("#performance").scroll_into_view_if_needed()
    page.evaluate("document.getElementById('performance').scrollIntoView({behavior: 'instant'})")
    page.wait_for_timeout(150)

    assert page.locator(".side a[aria-current]").text_content().strip() == "Performance"
