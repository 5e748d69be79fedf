"""For all tests: no socket leaves this machine, and an interrupt interrupts."""

import ipaddress
import signal
import sys

import pytest

_guarded = False
# A job in the background of a shell ignores interrupts, and so would the programs that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)


def _refuse_beyond_loopback(event: str, arguments: tuple[object, ...]) -> None:
    if not _guarded or event != "socket.connect":
        return
    address = arguments[1]
    if isinstance(address, tuple) and not _is_loopback(str(address[0])):
        raise PermissionError(f"a test tried to reach {address[0]}")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.split("%")[0]).is_loopback
    except ValueError:
        return False


sys.addaudithook(_refuse_beyond_loopback)


@pytest.fixture(autouse=True)
def no_socket_beyond_loopback():
    global _guarded
    _guarded = True
    yield
    _guarded = False
