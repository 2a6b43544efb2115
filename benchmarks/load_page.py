"""The table of `benchmarks.load`, for the report and for docs/explanation/faults-and-load.md."""

from __future__ import annotations

from pathlib import Path

from benchmarks import records
from benchmarks.load import path_of
from benchmarks.records import ROOT
from benchmarks.tables import number, table

PAGE = ROOT / "docs" / "explanation" / "faults-and-load.md"
BEGIN, END = "<!-- load: begin -->", "<!-- load: end -->"


def sections(results: Path) -> list[str]:
    """The pieces of the report; none without results."""
    lines = records.read(path_of(results))
    origins = [line for line in lines if line["kind"] == "origin"]
    measured = [line for line in lines if line["kind"] != "origin"]
    if not measured:
        return []
    rows = [[what(line), line.get("storage", "sqlite"), figure(line), wanted(line), sync(line)] for line in measured]
    return [
        "## Load",
        table(["what", "storage", "measured", "wanted", "ms to sync 4 KiB"], rows),
        *(f"Measured at commit {o['commit']}, {o['date']}, on {o['machine']}." for o in origins[-1:]),
    ]


def update_page(results: Path, page: Path = PAGE) -> None:
    """Replace what stands between the marks of the page."""
    text = page.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    found = "\n\n".join(sections(results)[1:])
    page.write_text(f"{before}{BEGIN}\n\n{found}\n\n{END}{after}")


def what(line: records.Record) -> str:  # noqa: PLR0911 - a kind, a line
    """What was done."""
    match line["kind"]:
        case "tells_of_processes":
            return f"{line['processes']} processes tell at once"
        case "asks_of_processes":
            return f"{line['processes']} processes ask and tell at once, random"
        case "tells_of_threads":
            return (
                f"{line['threads']} threads of one process tell at once" if line["threads"] > 1 else "one thread tells"
            )
        case "short_trials":
            return f"`run`, trials of 1 ms, random, `{line['executor']}`, {line['slots']} at a time"
        case "bare_tasks":
            return f"tasks of 1 ms on Dask alone, {line['slots']} at a time"
        case "resumed":
            return f"a study of {line['trials']} trials goes on: from starting Python to a new result"
        case "in_flight":
            return f"{line['trials']} trials in flight on `{line['executor']}`"
        case "big_batch":
            return f"`ask({line['trials']})`, default strategy"
        case _:
            return str(line["kind"])


def figure(line: records.Record) -> str:  # noqa: PLR0911
    """What came of it."""
    match line["kind"]:
        case "tells_of_processes":
            middle, high, most = line["longest"]
            waits = f"median wait {middle:.2g} s, 99 % {high:.2g} s, longest {most:.2g} s"
            return f"{line['per_second']:.0f} tells/s, {line['errors']} errors; {waits}"
        case "asks_of_processes":
            middle, _, most = line["longest"]
            waits = f"median wait {middle:.2g} s, 95 % {line['high']:.2g} s, longest {most:.2g} s"
            return f"{line['per_second']:.0f} asks/s, {line['errors']} errors; {waits}"
        case "tells_of_threads":
            return f"{line['per_second']:.0f} tells/s, {line['cpu_ms']} ms of CPU each"
        case "short_trials":
            return f"{line['overhead_ms']} ms a trial beyond the trial, {line['cpu_ms']} ms of CPU in the driver"
        case "bare_tasks":
            return f"{line['overhead_ms']} ms a task beyond the task"
        case "resumed":
            return f"{line['seconds']} s"
        case "in_flight":
            return f"{line['completed']} completed in {line['seconds']} s, {line['memory_mb']} MB"
        case "big_batch":
            return f"{line['seconds']} s; one more with {line['in_flight'] - 1} in flight {line['one_more']} s"
        case _:
            return ""


def wanted(line: records.Record) -> str:
    """The figure that was aimed at, where there was one."""
    on_server = line.get("storage") == "postgresql"
    match line["kind"]:
        case "tells_of_processes":
            return "600 tells/s" if on_server else "150 tells/s, no error"
        case "asks_of_processes":
            return "20 asks/s, 95 % in 10 s"
        case "tells_of_threads" if line["threads"] >= 64:
            return "5000 tells/s"
        case "short_trials":
            return "5 ms" if line["executor"] == "Dask" else "10 ms"
        case "resumed":
            return "5 s"
        case _:
            return "-"


def sync(line: records.Record) -> str:
    """How slow the disk was."""
    return number(line["sync_ms"], 2)
