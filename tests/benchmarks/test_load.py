"""That everything is stored that the load says was told, and that the table says what the lines say."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import load, load_page, records
from benchmarks.load import SERVER, Plan, measure

SMALL = Plan(
    processes=3,
    tells=2,
    askers=3,
    rounds=2,
    threads=(1, 4),
    rows=40,
    trials=12,
    slots=(2,),
    flight=3,
    resume=20,
    batch=5,
)


def test_what_is_measured_has_happened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(SERVER, raising=False)
    measure(tmp_path, SMALL)
    lines = [line for line in records.read(load.path_of(tmp_path)) if line["kind"] != "origin"]
    assert [line["kind"] for line in lines] == [
        "tells_of_processes",
        "asks_of_processes",
        "tells_of_threads",
        "tells_of_threads",
        "short_trials",
        "resumed",
        "in_flight",
        "in_flight",
        "big_batch",
        "bare_tasks",
        "short_trials",
        "short_trials",
    ]
    by_kind = {line["kind"]: line for line in lines}
    for kind in ("tells_of_processes", "asks_of_processes"):
        processes = by_kind[kind]
        assert (processes["stored"], processes["tells"], processes["errors"]) == (6, 6, 0)
    assert all(line["stored"] == line["tells"] == 40 for line in lines if line["kind"] == "tells_of_threads")
    assert by_kind["in_flight"]["completed"] == 3
    assert by_kind["big_batch"]["in_flight"] == 6
    assert [line["executor"] for line in lines if line["kind"] == "short_trials"] == ["Processes", "Dask", "Dask"]
    assert all(line["sync_ms"] > 0 for line in lines)


def test_the_table(tmp_path: Path) -> None:
    assert load_page.sections(tmp_path) == []
    line = {"kind": "tells_of_processes", "processes": 200, "tells": 9, "stored": 9, "errors": 0, "per_second": 228.4}
    rest = {"longest": [0.004, 6.59, 8.6], "storage": "sqlite", "sync_ms": 3.96}
    records.append(load.path_of(tmp_path), records.origin({}), {**line, **rest})
    asks = {"kind": "asks_of_processes", "processes": 100, "per_second": 41.3, "high": 2.3, "longest": [1.0, 3.0, 4.0]}
    records.append(
        load.path_of(tmp_path), records.origin({}), {**asks, "errors": 0, "storage": "sqlite", "sync_ms": 0.1}
    )
    page = tmp_path / "page.md"
    page.write_text(f"before\n{load_page.BEGIN}\nold\n{load_page.END}\nafter\n")
    for _ in range(2):
        load_page.update_page(tmp_path, page)
        text = page.read_text()
        assert text.startswith("before\n")
        assert text.endswith("\nafter\n")
        assert "old" not in text
        assert "228 tells/s, 0 errors; median wait 0.004 s, 99 % 6.6 s, longest 8.6 s" in text
        assert "41 asks/s, 0 errors; median wait 1 s, 95 % 2.3 s, longest 4 s" in text
        assert text.count("200 processes tell at once") == 1
