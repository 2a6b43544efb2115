"""Nothing leaves the machine: while the suite runs, connections to others are refused. See the root conftest."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

import hpo
from tests.house.source import imports, modules

NETWORK = {
    "aiohttp",
    "ftplib",
    "http",
    "httpx",
    "requests",
    "smtplib",
    "socket",
    "ssl",
    "telnetlib",
    "urllib3",
    "xmlrpc",
}


def refused() -> type[AssertionError]:
    """The error class of the guard."""
    error: type[AssertionError] = sys.modules["sitecustomize"].LeftTheMachine
    return error


@pytest.mark.parametrize("address", [("192.0.2.1", 443), ("198.51.100.7", 53)])
def test_other_machines_are_refused(address: tuple[str, int]) -> None:
    with socket.socket() as tcp, pytest.raises(refused(), match=address[0]):
        tcp.connect(address)
    with socket.socket() as tcp, pytest.raises(refused()):
        tcp.connect_ex(address)
    with socket.socket(type=socket.SOCK_DGRAM) as udp, pytest.raises(refused()):
        udp.sendto(b"", address)


def test_names_are_not_looked_up() -> None:
    with pytest.raises(refused(), match="example"):
        socket.getaddrinfo("example.org", 80)
    with pytest.raises(refused()):
        socket.create_connection(("example.org", 80))


def test_child_processes_are_held_to_it_too(tmp_path: Path) -> None:
    program = "import socket; socket.create_connection(('192.0.2.1', 443))"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "LeftTheMachine" in done.stderr


def test_this_machine_is_reached(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))


def test_no_module_imports_a_network_library() -> None:
    for path in modules():
        used = {target.split(".")[0] for target in imports(path)} & NETWORK
        assert not used, f"{path} imports {used}"
        assert "urllib.request" not in set(imports(path))


def test_a_study_file_holds_the_definition_the_params_and_the_numbers_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A word from the environment, from the data and from the training code is looked for in the bytes on disk."""
    monkeypatch.setenv("A_SECRET", "xylophone-4711")
    monkeypatch.chdir(tmp_path)
    rows = ["marzipan-0815"]

    def train(trial: hpo.Trial) -> dict[str, float]:
        """zeppelin-1234"""
        assert rows
        return {"y": trial.params["x"]}

    problem = hpo.Problem(hpo.Space({"x": hpo.Float(0, 1)}), [hpo.Objective("y")])
    study = hpo.open_study("s", problem, storage=tmp_path / "s.db", seed=1)
    hpo.run(study, train, budget=hpo.Budget(trials=6))
    content = b"".join(p.read_bytes() for p in tmp_path.iterdir())
    study.storage.close()
    assert b"asked" in content
    for word in (b"xylophone", b"marzipan", b"zeppelin", str(tmp_path).encode()):
        assert word not in content
