"""`make pictures`: the pictures of README.md, taken of the stack that `make demo KEEP=1` leaves running.

Needs a Chromium (`apt-get install chromium`). Airflow's grid is a screenshot, the tables are what `make show` prints.
"""

import io
import re
import shutil
import sys
from pathlib import Path

from playwright.sync_api import ViewportSize, sync_playwright
from rich.console import Console

from local import clients, show
from local.demo import DAG
from local.stack.home import REPO, Home, Secrets

PICTURES = REPO / "docs" / "pictures"
WINDOW = ViewportSize(width=1360, height=760)


def main() -> int:
    """Take both. 0 when they are in docs/pictures."""
    home = Home(REPO / ".local" / "demo")
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        print("no Chromium on the PATH: `apt-get install chromium` on Debian and Ubuntu")
        return 1
    PICTURES.mkdir(parents=True, exist_ok=True)
    try:
        take_grid(home, browser, PICTURES / "grid.png")
        draw_tables(home, PICTURES / "tables.svg")
    except clients.NotRunningError:
        print("the demo's stack does not run: start it with `make demo KEEP=1`")
        return 1
    return 0


def take_grid(home: Home, browser: str, picture: Path) -> None:
    """The DAG's page with its latest run that loaded files."""
    airflow = clients.Airflow(home)
    token = clients.token(airflow.url, Secrets.of(home).password)
    run = next(
        run for run in airflow.runs(DAG) if airflow.tasks(DAG, run["dag_run_id"])["archive"]["state"] == "success"
    )
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=browser) as chromium:
        context = chromium.new_context(viewport=WINDOW, color_scheme="light")
        context.add_cookies([{"name": "_token", "value": token, "url": airflow.url}])
        page = context.new_page()
        page.goto(f"{airflow.url}/dags/{DAG}/runs/{run['dag_run_id']}", wait_until="networkidle")
        page.get_by_text("archive").first.wait_for()
        page.screenshot(path=picture)


def draw_tables(home: Home, picture: Path) -> None:
    """Target and quarantine of the demo's feed, in a terminal's colours."""
    console = Console(record=True, width=128, file=io.StringIO(), force_terminal=True)
    found = clients.tables(home)
    show.show_target(console, DAG, *clients.rows(found[DAG], "1, 2"), 20)
    bad = f"{DAG}_quarantine"
    show.show_quarantine(console, bad, *clients.rows(found[bad], "_source_file, _record"), 20)
    # Without the fonts that it would fetch from elsewhere: the reader's own will do.
    picture.write_text(re.sub(r"@font-face \{.*?\}", "", console.export_svg(title="make show"), flags=re.DOTALL))


if __name__ == "__main__":
    sys.exit(main())
