"""The report in headless Chromium: it sorts, searches, filters and answers to the pointer; without one these are skipped.

`CROWD_SIM_AXE=axe.min.js` (npm's package axe-core) has axe look at the pages, too.
"""

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from crowd_sim.commands.run import run as simulate
from crowd_sim.config import RunConfig
from crowd_sim.report import write_report
from crowd_sim.report.compare_page import write_comparison
from crowd_sim.report.comparison import compare
from crowd_sim.report.live import live_page
from tests.experiments.llm_folder import write_llm_run
from tests.experiments.test_report import points_table, write_run, write_sweep

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
AXE = Path(os.environ["CROWD_SIM_AXE"]).read_text(encoding="utf-8") if "CROWD_SIM_AXE" in os.environ else ""
PROBE = """
addEventListener("load", async () => {
  const out = {};
  try {
    const host = document.querySelector("#workers") ?? document.querySelector("#points");
    const first = () => host.querySelector("tbody tr > *").textContent;
    const said = () => host.querySelector("[role=status]").textContent;
    out.rows = said();
    const head = () => host.querySelectorAll("thead th")[1];
    head().querySelector("button").click();
    out.sorted = head().getAttribute("aria-sort");
    out.first = first();
    const search = host.querySelector("input[type=search]");
    search.value = first(); search.dispatchEvent(new Event("input")); out.found = said();
    search.value = ""; search.dispatchEvent(new Event("input"));
    host.querySelector("button.name")?.click();
    out.chosen = document.querySelectorAll("tr.chosen").length;
    const dot = document.querySelector("#charts svg circle"), svg = dot.closest("svg"), box = dot.getBoundingClientRect();
    const at = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2, bubbles: true, pointerType: "mouse" };
    svg.dispatchEvent(new PointerEvent("pointermove", at));
    await new Promise((resolve) => setTimeout(resolve, 300));
    out.tip = svg.querySelector("[aria-label=tip]").textContent;
    const lists = "#charts [aria-label='x-axis tick label'], #charts [aria-label='y-axis tick label']";
    const boxes = (axis) => [...axis.querySelectorAll("text")].map((text) => text.getBoundingClientRect());
    const cross = (a, b) => a.x < b.right && b.x < a.right && a.y + 1 < b.bottom && b.y + 1 < a.bottom;
    out.crossed = [...document.querySelectorAll(lists)].filter((axis) =>
      boxes(axis).some((a, i, all) => all.slice(i + 1).some((b) => cross(a, b)))).map((axis) => axis.textContent.slice(0, 60));
    out.dots = document.querySelector("#charts svg").querySelectorAll("circle").length;
    out.cells = [...document.querySelectorAll("#charts svg [aria-label=cell]")].map((cells) => cells.childElementCount);
    out.best = document.querySelector("#best")?.textContent ?? "";
    const list = [...document.querySelectorAll("select")].at(host.id === "points" ? 1 : 0);
    list.selectedIndex = 1; list.dispatchEvent(new Event("change")); out.filtered = said();
    out.fits = document.documentElement.scrollWidth <= innerWidth;
  } catch (error) { out.error = String(error.stack); }
  out.dark = matchMedia("(prefers-color-scheme: dark)").matches;
  out.axe = window.axe ? (await axe.run(document)).violations.map((found) => found.id) : [];
  document.body.append(Object.assign(document.createElement("pre"), { id: "probe", textContent: JSON.stringify(out) }));
});
"""


def probed(page, tmp_path, *more):
    """What the probe found on a page, at the width of a telephone."""
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page.read_text(encoding="utf-8"))
    copy = tmp_path / "probed.html"
    copy.write_text(text.replace("</body>", f"<script>{AXE}</script><script>{PROBE}</script></body>"), encoding="utf-8")
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=30000"]
    given = [f"--user-data-dir={tmp_path / 'profile'}", "--window-size=500,900", "--dump-dom", f"file://{copy}"]
    done = subprocess.run([*command, *more, *given], capture_output=True, text=True, timeout=300, check=True)
    return json.loads(html.unescape(re.search(r'<pre id="probe">(.*?)</pre>', done.stdout, re.DOTALL).group(1)))


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_pages_answer(tmp_path):
    run = probed(write_report(write_run(tmp_path / "run")), tmp_path)
    assert "error" not in run, run
    assert (run["rows"], run["sorted"], run["chosen"], run["fits"]) == ("1 to 12 of 12", "ascending", 1, True)
    assert run["filtered"] == "1 to 12 of 12"
    assert "rank gap" in run["tip"]
    steps = {"tournament.step": [round(0.005 * i, 3) for i in range(1, 101)], "crowd.n_workers": [10, 25]}
    sweep = probed(write_report(write_sweep(tmp_path / "sweep", points_table(**steps))), tmp_path)
    assert "error" not in sweep, sweep
    assert (sweep["rows"], sweep["filtered"], sweep["fits"]) == ("1 to 25 of 200", "1 to 2 of 2", True)
    assert (sweep["dots"], sweep["cells"], sweep["crossed"]) == (102, [200], []), (
        "every setting, and no names on others"
    )
    assert "points" in sweep["tip"]
    assert "2.513 ± 0.020 (95 %: 1 to 1)" in sweep["best"], "no correlation is above 1"
    folders = [tmp_path / "run", write_run(tmp_path / "another")]
    compared = probed(write_comparison(compare(folders), tmp_path / "compared.html"), tmp_path)
    assert "error" not in compared, compared
    assert (compared["rows"], compared["sorted"], compared["chosen"], compared["fits"]) == (
        "1 to 12 of 12",
        "descending",
        1,
        True,
    )
    assert "another" in compared["tip"]
    assert run["axe"] == sweep["axe"] == compared["axe"] == []


@pytest.mark.skipif(CHROMIUM is None or not AXE, reason="needs Chromium and CROWD_SIM_AXE")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_on_any_page(tmp_path, dark):
    run, texts = write_run(tmp_path / "run"), write_llm_run(tmp_path / "texts")
    simulate(RunConfig.parse({"tournament": {"rounds": 2}, "valuation": {"method": "none"}}), tmp_path / "live")
    live = tmp_path / "live.html"
    live.write_text(live_page(tmp_path / "live", ["running"], "", 2.0), encoding="utf-8")
    pages = [*map(write_report, (run, texts, write_sweep(tmp_path / "sweep", points_table()))), live]
    pages.append(write_comparison(compare([run, write_run(tmp_path / "another")]), tmp_path / "compared.html"))
    given = ["--blink-settings=preferredColorScheme=0"] * dark
    found = {page: probed(page, tmp_path, *given) for page in pages}
    assert {page: told["axe"] for page, told in found.items()} == {page: [] for page in pages}
    assert {told["dark"] for told in found.values()} == {dark}
