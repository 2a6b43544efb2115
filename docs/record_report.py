"""Record the pictures of a report that `reference/report.md` shows: `python docs/record_report.py`.

It tunes the demo's model under its limit, writes the report, and takes two screenshots with Chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import hpo  # noqa: E402
from hpo.cli.demo_task import Train, problem  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
WIDTH = 1000


def main() -> None:
    """Write both pictures."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser is None:
        raise SystemExit("this needs Chromium: no program chromium, chromium-browser or google-chrome")
    with tempfile.TemporaryDirectory() as folder:
        study = hpo.open_study(
            "digits", problem(), storage=":memory:", seed=7, reason="a smaller model for the scanner"
        )
        hpo.run(study, Train(0), budget=hpo.Budget(trials=30), progress=False)
        page = hpo.report.write_report(study, Path(folder) / "report.html")
        taken(browser, page, "report.png", 690)
        html = page.read_text(encoding="utf-8")
        start = html.index("<figure")
        below = page.with_name("charts.html")
        below.write_text(html[: html.index("<main")] + "<main>" + html[start:], encoding="utf-8")
        taken(browser, below, "report-charts.png", 880)


def taken(browser: str, page: Path, name: str, height: int) -> None:
    """A screenshot of the top of `page`, in a palette of 64 colors."""
    from PIL import Image

    raw = page.with_name(name)
    command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    command += [f"--screenshot={raw}", f"--window-size={WIDTH},{height}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True)
    PICTURES.mkdir(exist_ok=True)
    Image.open(raw).convert("RGB").quantize(64).save(PICTURES / name, optimize=True)
    print(f"wrote docs/pictures/{name}, {(PICTURES / name).stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
