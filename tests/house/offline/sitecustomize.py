"""Refuse every connection but those to this machine.

Python imports a module of this name at its start, so the root conftest puts this folder on PYTHONPATH: what holds for the
suite holds for every Python it starts. An audit hook sees all sockets and look-ups of a process, and cannot be removed.
"""

from __future__ import annotations

import sys
from typing import Any


class LeftTheMachine(AssertionError):
    """A test tried to reach another machine."""


def refuse_the_network(event: str, arguments: tuple[Any, ...]) -> None:
    """Raises LeftTheMachine for addresses that are not this machine's."""
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        if isinstance(address, tuple) and not is_local(str(address[0])):
            raise LeftTheMachine(f"{event} to {address}")
    elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
        if host is not None and not is_local(host.decode() if isinstance(host, bytes) else str(host)):
            raise LeftTheMachine(f"{event} of {host!r}")


def is_local(host: str) -> bool:
    """Whether `host` names this machine and needs no name server."""
    import ipaddress

    if host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return False


sys.addaudithook(refuse_the_network)
