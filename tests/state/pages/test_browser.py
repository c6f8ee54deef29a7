"""Every page in a real browser, at two widths, dark and light."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.render.release_list import RESULT_LABELS
from orchestrator.state.protocol.records import PlanRecord, Run, RunResult
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.store import Store
from tests.state.pages.page_service import PAGES
from tests.state.pages.page_view import find_accessibility_violations, open_page
from tests.state.pages.sample_history import (
    FAILURE_CAUSE,
    FAILURE_HINT,
    NOW,
    PROD,
    final_outcomes,
    make_events,
    routine_plan,
)

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]
HEAVIEST = 150_000
FOCUS = "[document.activeElement.textContent, document.activeElement.getBoundingClientRect().top]"
PRESSABLE = """[...document.querySelectorAll('a[href], button:not([hidden]), select, summary')]
  .filter((one) => one.checkVisibility()).length"""
FOCUSED = """(() => {
  const it = document.activeElement, all = [...document.querySelectorAll('*')];
  return [all.indexOf(it), getComputedStyle(it).outlineStyle, it.outerHTML.slice(0, 80)];
})()"""
LOOKS = {"desk, light": (1280, "light"), "phone, dark": (390, "dark")}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_sound(name: str, look: str, house: str, browser: Any) -> None:
    """It fits, weighs little, complains of nothing, and axe finds nothing."""
    width, scheme = LOOKS[look]
    with open_page(browser, width, scheme) as seen:
        status = seen.open(house + PAGES[name])

        assert status == (404 if name == "not-found" else 200)
        assert [one for one in seen.errors if "status of 404" not in one] == []
        assert seen.overflow == []
        assert 0 < seen.transferred_bytes < HEAVIEST
        assert seen.page.locator("script:not([defer]), script:not([src])").count() == 0, "nothing holds the paint back"
        assert find_accessibility_violations(seen.page) == []


CURRENT_TAB = """(() => {
  const bar = document.querySelector(".tabs").getBoundingClientRect();
  const tab = document.querySelector(".tabs [aria-current]").getBoundingClientRect();
  return tab.left >= bar.left - 1 && tab.right <= bar.right + 1;
})()"""
SWATCHES = """[...document.querySelectorAll(".costs tbody th")].map((cell) => {
  const range = document.createRange();
  range.selectNodeContents(cell.childNodes[1]);
  const text = range.getClientRects()[0], swatch = cell.querySelector(".swatch").getBoundingClientRect();
  return swatch.right <= text.left && swatch.top >= text.top - 1 && swatch.bottom <= text.bottom + 1;
})"""


def test_on_a_phone_the_current_tab_and_the_colours_of_components_are_in_place(house: str, browser: Any) -> None:
    with open_page(browser, 390, "light") as seen:
        visible = {}
        for name in ("environment", "cost", "review", "recovery", "drift", "releases"):
            seen.open(house + PAGES[name])
            visible[name] = seen.page.evaluate(CURRENT_TAB)
        seen.open(house + PAGES["cost"])
        swatches = seen.page.evaluate(SWATCHES)

    assert visible == dict.fromkeys(visible, True)
    assert len(swatches) == 5
    assert all(swatches)


@pytest.mark.parametrize("look", [(1280, "dark"), (390, "light")], ids=str)
def test_the_other_colours_are_as_legible(look: tuple[int, str], house: str, browser: Any) -> None:
    """The pages that have every colour, as the others do not see them."""
    with open_page(browser, *look) as seen:
        for name in ("environments", "run-failed", "plan", "comparison", "drift", "models"):
            seen.open(house + PAGES[name])
            assert seen.overflow == []
            assert find_accessibility_violations(seen.page) == []


READ = {
    "environments": ["joiabagur/prod", "healthy", "2 drifted", "$37.54", "marta", "deploy succeeded"],
    "environment": [
        "Restore drill",
        "12m34s",
        "a new drill is due",
        "Encrypt the database",
        "conflicts with #195",
        "rds_instance.main:engine_version",
    ],
    "run-failed": [
        "Root cause",
        "storage is being optimised",
        "orchestrator deploy -e demo",
        "28 of 32 resources applied",
        "3 skipped",
    ],
    "run-live": ["running", "ec2_security_group.api", "in progress", "merge of #191"],
    "run-superseded": ["superseded", "a newer run superseded it"],
    "plan": ["Vetoed", "rds_instance.main", "engine_version", '"15"', "--allow"],
    "comparison": ["From release 20 to 28", "containerservice.api", "v2", "max: 9", "assets/index-"],
    "releases": ["current", RESULT_LABELS["healthy"], "Roll back to this release", "rollback to"],
    "drift": ["2 resources have drifted", "backup_retention_days", "In the manifests", "ignored until 2026-11-29"],
    "recovery": ["passed", "12m34s", "due now", "restore database main --drill -e prod", "--undo -e prod"],
    "history": ["Lead time", "Change failure rate", "Weekly figures"],
    "log": ["orchestrator history verify", "run.end"],
    "models": ["Training needed", "0.931", "2026-10-08"],
    "not-found": ["404", "No environment named joiabagur/nowhere"],
}


@pytest.mark.parametrize("name", READ)
def test_everything_is_read_without_javascript(name: str, house: str, browser: Any) -> None:
    """The server makes the pages; scripts only liven them up."""
    with open_page(browser, 390, enable_javascript=False) as seen:
        seen.page.goto(house + PAGES[name])
        text = seen.page.inner_text("main")

        assert [word for word in READ[name] if word not in text] == []


def test_details_open_without_javascript(house: str, browser: Any) -> None:
    """The exact command to go back is one press away."""
    with open_page(browser, enable_javascript=False) as seen:
        seen.page.goto(house + PAGES["releases"])
        seen.page.locator("summary", has_text="Roll back to this").first.click()

        assert "orchestrator rollback -e prod --to 55 --reason" in seen.page.inner_text("main")


def test_the_first_tab_skips_to_the_content(house: str, browser: Any) -> None:
    """Who has no mouse is not sent through the menu each time, and sees where they are."""
    with open_page(browser) as seen:
        seen.open(house)
        seen.page.keyboard.press("Tab")
        shown = seen.page.evaluate(FOCUS)
        seen.page.keyboard.press("Enter")

        assert shown[0] == "Skip to content"
        assert shown[1] >= 0
        assert seen.page.evaluate("document.activeElement.id") == "main"


def test_every_link_can_be_reached_by_keyboard(house: str, browser: Any) -> None:
    """Tab comes by all that can be pressed, and what has the focus has an outline."""
    with open_page(browser) as seen:
        seen.open(house + PAGES["releases"])
        wanted = seen.page.evaluate(PRESSABLE)
        reached, bare = set(), []
        for _ in range(wanted + 5):
            seen.page.keyboard.press("Tab")
            one = seen.page.evaluate(FOCUSED)
            reached.add(one[0])
            bare += [one[2]] if one[1] == "none" and "<body" not in one[2] else []

        assert len(reached) >= wanted
        assert bare == []


def test_a_theme_is_kept(house: str, browser: Any) -> None:
    """Chosen once, the next page comes that way from the server."""
    with open_page(browser, scheme="light") as seen:
        seen.open(house)
        seen.page.click("[data-theme-switch]")
        at_once = seen.page.get_attribute("html", "data-theme")
        seen.open(house + PAGES["history"])

        assert at_once == "dark"
        assert seen.page.get_attribute("html", "data-theme") == "dark"


def test_a_theme_is_kept_without_javascript(house: str, browser: Any) -> None:
    """The same button is a form."""
    with open_page(browser, scheme="light", enable_javascript=False) as seen:
        seen.page.goto(house + PAGES["history"])
        seen.page.click("[data-theme-switch]")

        assert seen.page.url == house + PAGES["history"]
        assert seen.page.get_attribute("html", "data-theme") == "dark"


def test_a_run_is_followed_as_it_happens(blank: tuple[str, Store], browser: Any) -> None:
    """Without loading the page again: resources, the log, the count, and how it ended, with what to do next."""
    address, store = blank
    plan = routine_plan(PROD, 1)
    store.record_plan(PlanRecord(plan.digest, PROD, format_timestamp(NOW), "ana", "c0ffee", plan), "ana")
    fence = store.begin_run(
        Run("now", PROD, "deploy", "ana", "c0ffee", format_timestamp(NOW), plan=plan.digest), "ana"
    ).fence
    first, *rest = plan.pending_changes
    with open_page(browser, 390) as seen:
        seen.open(f"{address}/runs/now")
        row = seen.page.locator("tr", has_text=first.address)
        waiting = row.inner_text()
        seen.page.evaluate("window.same = true")
        told = make_events(plan, NOW, failing_address=first.address)
        store.append_events("now", fence, told[:-1])
        row.get_by_text("in progress").wait_for()
        seen.page.locator("#log li", has_text=first.address).nth(1).wait_for()
        store.append_events("now", fence, told[-1:])
        store.end_run(
            "now",
            fence,
            RunResult(
                "failed", format_timestamp(NOW + 9), FAILURE_CAUSE, FAILURE_HINT, outcomes=final_outcomes(told, plan)
            ),
            "ana",
        )
        seen.page.get_by_text("Root cause").wait_for()

        assert "waiting" in waiting
        assert seen.page.locator("tr", has_text="skipped").count() == len(rest)
        assert FAILURE_HINT in seen.page.inner_text(".first-cause")
        assert seen.page.evaluate("window.same") is True
        assert seen.overflow == []
        assert seen.errors == []


def test_a_plan_is_searched_and_folded(house: str, browser: Any) -> None:
    """Words narrow it down; nothing found is said."""
    with open_page(browser) as seen:
        seen.open(house + PAGES["plan"])
        seen.page.get_by_label("Search the plan").fill("engine_version")
        shown = seen.page.locator(".plan article:visible").count()
        seen.page.get_by_label("Search the plan").fill("no such thing")
        nothing = seen.page.locator(".nothing").is_visible()
        seen.page.get_by_label("Search the plan").fill("")
        seen.page.get_by_text("Collapse all").click()

        assert shown == 1
        assert nothing
        assert seen.page.locator(".plan article:visible").count() == 0


def test_filters_of_the_history_work_in_place(house: str, browser: Any) -> None:
    """The list changes, the address says what was asked, and charts are drawn again."""
    with open_page(browser) as seen:
        seen.open(house + PAGES["history"])
        seen.page.evaluate("window.same = true")
        seen.page.get_by_label("Command").select_option("rollback")
        seen.page.wait_for_url("**verb=rollback**")
        seen.page.locator("#found .runs th a", has_text="deploy").first.wait_for(state="detached")

        assert set(seen.page.locator("#found .runs th a").all_inner_texts()) == {"rollback"}
        assert seen.page.evaluate("window.same") is True
        assert seen.page.locator("#charts canvas").count() == 4
        assert seen.errors == []
