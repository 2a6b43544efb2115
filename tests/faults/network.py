"""A network between clients and a server, on loopback, that may go silent."""

from __future__ import annotations

import contextlib
import socket
import threading


class Network:
    """Passes bytes on. While it is `silent` it takes them, and new connections too, and passes nothing on: no end of a
    connection either. What was begun before it went silent, or was forgotten, is never heard of again."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._is_silent = False
        self._epoch = 0
        self._held: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def silence(self) -> None:
        """Pass nothing on."""
        self._is_silent, self._epoch = True, self._epoch + 1

    def heal(self) -> None:
        """Pass on what new connections say."""
        self._is_silent = False

    def forget(self) -> None:
        """As load balancers do with what was idle for long: the connections there are dead, without a word."""
        self._epoch += 1

    def close(self) -> None:
        """Take no more connections, and end all."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()
        for held in self._held:
            with contextlib.suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)  # which also ends a thread that reads from it
            held.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._held.append(client)
                if not self._is_silent:
                    server = socket.create_connection(self._server)
                    self._held.append(server)
                    for ends in ((client, server), (server, client)):
                        threading.Thread(target=self._pass, args=(*ends, self._epoch), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, epoch: int) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if self._epoch == epoch:
                    target.sendall(data)
            if self._epoch == epoch:
                target.shutdown(socket.SHUT_WR)
