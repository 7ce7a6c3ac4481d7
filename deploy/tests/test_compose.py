"""``docker-compose.yml``, as Compose itself reads it."""

from typing import Any

import pytest
import yaml

from tests.run import ROOT, output

EVERY_PROFILE = ("--profile", "gpu", "--profile", "observe")
DRAIN_SECONDS = {"gateway": 120, "triton": 30}
"""What the gateway may take from SIGTERM on."""


def services(*arguments: str, **variables: str) -> dict[str, dict[str, Any]]:
    """The services by name after interpolation and merging."""
    config = yaml.safe_load(output("docker-compose", *arguments, "config", **variables))
    return dict(config["services"])


def seconds(duration: str) -> int:
    """Of a duration as Compose writes it, as in "1m15s"."""
    minutes, _, rest = duration.rpartition("m")
    return int(minutes or 0) * 60 + int(rest.rstrip("s") or 0)


def test_the_default_is_the_gateway_and_a_triton() -> None:
    assert set(services()) == {"gateway", "triton"}


def test_scaling_triton_needs_no_name_and_no_port_of_its_own() -> None:
    triton = services()["triton"]
    assert "container_name" not in triton
    assert "ports" not in triton
    assert services()["gateway"]["environment"]["LACUNA_TRITON"] == "http://triton:8001"


@pytest.mark.parametrize("name", ["gateway", "gateway-gpu", "prometheus", "grafana"])
def test_ports_are_bound_to_loopback(name: str) -> None:
    for port in services(*EVERY_PROFILE)[name]["ports"]:
        assert port["host_ip"] == "127.0.0.1", name


def test_only_the_ports_of_people_are_published() -> None:
    published = {name for name, each in services(*EVERY_PROFILE).items() if each.get("ports")}
    assert published == {"gateway", "gateway-gpu", "prometheus", "grafana"}


def test_every_service_is_locked_down_and_limited() -> None:
    for name, service in services(*EVERY_PROFILE).items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["mem_limit"]) > 0, name
        # Docker refuses more than the machine has.
        assert 0 < float(service["cpus"]) <= 2, name


@pytest.mark.parametrize("name", ["gateway", "gateway-gpu", "triton", "triton-gpu"])
def test_stopping_waits_longer_than_the_drain(name: str) -> None:
    assert (
        seconds(services(*EVERY_PROFILE)[name]["stop_grace_period"])
        > DRAIN_SECONDS[name.removesuffix("-gpu")]
    )


def test_triton_has_no_way_out() -> None:
    config = yaml.safe_load(output("docker-compose", *EVERY_PROFILE, "config"))
    for name in ("triton", "triton-gpu"):
        assert set(config["services"][name]["networks"]) == {"inference"}
    assert config["networks"]["inference"]["internal"] is True


@pytest.mark.parametrize(
    ("name", "needed", "condition"),
    [
        ("gateway", "triton", "service_healthy"),
        ("gateway-gpu", "triton-gpu", "service_healthy"),
        ("triton-gpu", "models", "service_completed_successfully"),
        ("models", "export", "service_completed_successfully"),
        ("grafana", "prometheus", "service_healthy"),
    ],
)
def test_services_start_in_order(name: str, needed: str, condition: str) -> None:
    assert services(*EVERY_PROFILE)[name]["depends_on"][needed]["condition"] == condition


def test_the_gpu_gateway_and_triton_answer_to_the_names_that_are_asked_for() -> None:
    every = services(*EVERY_PROFILE)
    assert "triton" in every["triton-gpu"]["networks"]["inference"]["aliases"]
    assert "gateway" in every["gateway-gpu"]["networks"]["inference"]["aliases"]


def test_settings_of_the_environment_reach_the_gateway() -> None:
    gateway = services(LACUNA_TOKENS="a:b", LACUNA_MAX_QUEUE="7")["gateway"]
    assert gateway["environment"]["LACUNA_TOKENS"] == "a:b"
    assert gateway["environment"]["LACUNA_MAX_QUEUE"] == "7"


def test_the_quickstart_token_is_that_of_the_local_stack() -> None:
    assert services()["gateway"]["environment"]["LACUNA_TOKENS"] == "local:local-dev-token"
    assert 'TOKEN = "local-dev-token"' in (ROOT / "scripts/local_stack/gateway.py").read_text()


def test_all_files_that_are_mounted_or_built_from_are_there() -> None:
    for name, service in services(*EVERY_PROFILE).items():
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                assert (ROOT / volume["source"]).exists(), name
        if "build" in service:
            assert (ROOT / service["build"]["dockerfile"]).is_file(), name


PUBLIC = ("-f", "docker-compose.yml", "-f", "deploy/compose/public.yml")


@pytest.mark.parametrize("name", ["gateway", "gateway-gpu"])
def test_what_others_reach_speaks_tls_and_knows_no_local_token(name: str) -> None:
    gateway = services(*PUBLIC, *EVERY_PROFILE, LACUNA_SECRETS="/srv/lacuna")[name]
    environment = gateway["environment"]
    assert environment["LACUNA_TOKENS"] == ""
    (folder,) = gateway["volumes"]
    assert (folder["source"], folder["read_only"]) == ("/srv/lacuna", True)
    for variable in ("LACUNA_TOKENS_FILE", "LACUNA_TLS_CERT", "LACUNA_TLS_KEY"):
        assert environment[variable].startswith(folder["target"] + "/"), variable
    (open_port,) = (port for port in gateway["ports"] if "host_ip" not in port)
    assert (open_port["published"], open_port["target"]) == ("8443", 8080)
