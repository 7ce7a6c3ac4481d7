import socket
from collections.abc import Iterator

import pytest

from local_stack import ports
from local_stack.machine import StackError


@pytest.fixture
def taken() -> Iterator[int]:
    """A port in use."""
    with socket.socket() as listener:
        listener.bind((ports.HOST, 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ports.VARIABLES:
        monkeypatch.delenv(variable, raising=False)


def test_free_ports_are_different_and_free() -> None:
    found = ports.free_ports(6)
    assert len(set(found)) == 6
    assert all(ports.is_free(port) for port in found)


def test_a_port_that_is_listened_on_is_not_free(taken: int) -> None:
    assert not ports.is_free(taken)


def test_without_variables_the_ports_are_tritons_own() -> None:
    assert ports.wanted_ports() == ports.Ports(grpc=8001, http=8000, metrics=8002)


def test_run_takes_another_port_where_one_is_taken(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = ports.free_ports(2)
    monkeypatch.setenv("TRITON_GRPC_PORT", str(taken))
    monkeypatch.setenv("TRITON_HTTP_PORT", str(free[0]))
    monkeypatch.setenv("TRITON_METRICS_PORT", str(free[1]))
    chosen = ports.near_ports()
    assert (chosen.http, chosen.metrics) == tuple(free)
    assert chosen.grpc != taken
    assert ports.is_free(chosen.grpc)


def test_one_triton_alone_refuses_a_taken_port_and_names_the_variable(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = ports.free_ports(2)
    monkeypatch.setenv("TRITON_GRPC_PORT", str(free[0]))
    monkeypatch.setenv("TRITON_HTTP_PORT", str(free[1]))
    monkeypatch.setenv("TRITON_METRICS_PORT", str(taken))
    with pytest.raises(StackError, match=f"port {taken} is taken; set TRITON_METRICS_PORT"):
        ports.exact_ports()


@pytest.mark.parametrize("text", ["0", "65536", "-1", "eight", "8001x", "٨٠٠١"])
def test_what_is_no_port_is_refused_and_names_the_variable(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRITON_HTTP_PORT", text)
    with pytest.raises(StackError, match="TRITON_HTTP_PORT must be a port"):
        ports.wanted_ports()
