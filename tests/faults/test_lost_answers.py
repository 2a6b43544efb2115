"""Answers that a network loses: the server commits, and the client hears nothing of it.

A proxy stands between the study and a PostgreSQL server. When told to it passes a COMMIT on, waits until the server has
answered, and cuts the connection instead of passing the answer on.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest
import sqlalchemy as sa

import hpo
from hpo.storage import SqlStorage
from hpo.strategies import Random

SERVER = os.environ.get("HPO_TEST_PG", "")
PROBLEM = hpo.Problem(hpo.Space({"x": hpo.Float(0.0, 1.0)}), [hpo.Objective("y"), hpo.Constraint("c", upper=1.0)])
HOUR = 3600.0
_COMMIT = b"COMMIT\0"
"""The statement, and not a transaction that begins as READ COMMITTED."""

if not SERVER:
    pytest.skip("HPO_TEST_PG names no PostgreSQL server", allow_module_level=True)


class Proxy:
    """Passes bytes on, and drops the answers to the next COMMITs."""

    def __init__(self, host: str, port: int) -> None:
        self.server = (host, port)
        self.to_drop = 0
        self.dropped = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(self.server) as server:
            is_cut = threading.Event()
            back = threading.Thread(target=self._answer, args=(server, client, is_cut), daemon=True)
            back.start()
            with contextlib.suppress(OSError):
                while data := client.recv(1 << 16):
                    if self.to_drop and _COMMIT in data:
                        self.to_drop -= 1
                        is_cut.set()
                    server.sendall(data)
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_WR)
            back.join()

    def _answer(self, server: socket.socket, client: socket.socket, is_cut: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                if is_cut.is_set():  # the answer to COMMIT: what was asked before it has been answered before
                    self.dropped += b"COMMIT" in data
                    client.shutdown(socket.SHUT_RDWR)
                    return
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    url = sa.make_url(SERVER)
    proxy = Proxy(url.host or "127.0.0.1", url.port or 5432)
    yield proxy
    proxy.close()


STEPS: Sequence[tuple[str, Callable[[hpo.Study], object]]] = [
    ("ask", lambda study: [t.number for t in study.ask(3)]),
    ("ask with a request", lambda study: [t.number for t in study.ask(3, request="monday")]),
    ("claim", lambda study: [t.number for t in study.leases.claim(3, "a", lease=HOUR)]),
    ("tell", lambda study: study.tell(0, {"y": 1.0, "c": 0.5}).values["y"].value),
    ("correct", lambda study: study.tell(1, {"y": 3.0, "c": 0.5}, replace=True, reason="typing error").message),
    ("fail", lambda study: study.fail(0, "oom").kind),
    ("preempted", lambda study: study.fail(0, "preempted").attempt),
    ("cancel", lambda study: study.cancel(0).state),
    ("requeue", lambda study: study.requeue(0).attempt),
    ("enqueue", lambda study: study.enqueue({"x": 0.5}).number),
    ("add", lambda study: study.add({"x": 0.5}, {"y": 1.0, "c": 0.5}).number),
    ("reclaim", lambda study: [t.number for t in study.leases.reclaim()]),
    ("renew", lambda study: study.leases.renew([study.trials[0]], "a", HOUR)),
    ("edit", lambda study: study.edit_metric(hpo.Constraint("c", upper=0.7), reason="a newer phone").metric("c")),
]


@pytest.mark.parametrize(("name", "step"), STEPS, ids=[name for name, _ in STEPS])
@pytest.mark.parametrize("losses", [1, 3])
def test_a_step_whose_answer_the_network_lost(
    proxy: Proxy, name: str, step: Callable[[hpo.Study], object], losses: int
) -> None:
    outcomes: list[tuple[object, list[Any]]] = []
    with closing(SqlStorage(sa.make_url(SERVER).set(port=proxy.port).render_as_string(False))) as storage:
        for n in (0, losses):
            study = hpo.open_study(uuid.uuid4().hex, PROBLEM, storage=storage, seed=1, strategy=Random())
            study.leases.claim(1, "a", lease=-1.0)
            study.tell(study.ask(), {"y": 2.0, "c": 0.5})
            proxy.to_drop, proxy.dropped = n, 0
            answer = step(study)
            assert (proxy.to_drop, proxy.dropped) == (0, n), "every answer was lost"
            outcomes.append((answer, [(e.kind, e.number, e.data) for e in study.events()]))
    assert outcomes[0] == outcomes[1]
