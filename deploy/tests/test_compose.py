"""``docker-compose.yml`` and the files beside it, as Compose itself reads them."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.run import ROOT, output

EVERY_PROFILE = ("--profile", "gpu")
OBSERVE = ("-f", "deploy/compose/observe.yml")
DRAIN_SECONDS = {"gateway": 120, "triton": 30}
"""What the gateway may take from SIGTERM on."""


def services(*arguments: str, **variables: str) -> dict[str, dict[str, Any]]:
    """The services by name after interpolation and merging."""
    config = yaml.safe_load(output("docker-compose", *arguments, "config", **variables))
    return dict(config["services"])


def all_of_it() -> dict[str, dict[str, Any]]:
    """The service on either kind of machine, and what looks at it."""
    return services(*EVERY_PROFILE) | services(*OBSERVE)


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
    for port in all_of_it()[name]["ports"]:
        assert port["host_ip"] == "127.0.0.1", name


def test_only_the_ports_of_people_are_published() -> None:
    published = {name for name, each in all_of_it().items() if each.get("ports")}
    assert published == {"gateway", "gateway-gpu", "prometheus", "grafana"}


def test_every_service_is_locked_down_and_limited() -> None:
    for name, service in all_of_it().items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert int(service["mem_limit"]) > 0, name
        # Docker refuses more than the machine has, and one is what every machine has.
        assert float(service.get("cpus", 0)) <= 1, name
        # What the engine allows is known to the engine alone; the gateway takes all of it.
        assert "ulimits" not in service, name


def test_processors_and_ports_can_be_said() -> None:
    found = services(GATEWAY_CPUS="1.5", TRITON_CPUS="3", LACUNA_PORT="8099")
    assert [float(found[name]["cpus"]) for name in ("gateway", "triton")] == [1.5, 3]
    assert [port["published"] for port in found["gateway"]["ports"]] == ["8099"]


def test_what_is_built_here_is_fetched_from_nowhere_under_a_name_that_nobody_can_own() -> None:
    for name, service in services(*EVERY_PROFILE).items():
        assert re.fullmatch(r"lacuna\.invalid/[a-z-]+:0\.1\.0", service["image"]), name
        assert service["pull_policy"] == "never" and service["build"], name


def test_one_registry_and_one_version_hold_for_all_images() -> None:
    found = services(
        *EVERY_PROFILE, LACUNA_REGISTRY="example.org/x", LACUNA_VERSION="9", LACUNA_PULL="missing"
    )
    for name, service in found.items():
        assert re.fullmatch(r"example\.org/x/[a-z-]+:9", service["image"]), name
        assert service["pull_policy"] == "missing", name


def test_no_other_file_names_an_image_of_ours_on_the_public_hub() -> None:
    files = [ROOT / "README.md", *ROOT.glob("docs/*.md"), *(ROOT / "deploy").rglob("*")]
    for path in files:
        if path.suffix in {".yml", ".yaml", ".md", ".Dockerfile"} and ".venv" not in path.parts:
            text = path.read_text()
            assert not re.search(r"(?<![\w./-])lacuna/(gateway|triton-\w+|models)\b", text), path


def test_the_weights_of_a_folder_reach_the_export() -> None:
    def export(**variables: str) -> tuple[dict[str, Any], dict[str, Any]]:
        found = services(*EVERY_PROFILE, **variables)["export"]
        volumes = {volume["target"]: volume for volume in found["volumes"]}
        return found["environment"], volumes["/weights"]

    environment, volume = export()
    assert (environment["MODELS_FROM"], volume["type"]) == ("", "volume")
    environment, volume = export(MODELS_FROM="/srv/weights", MODELS_UNVERIFIED="1")
    assert (environment["MODELS_FROM"], environment["MODELS_UNVERIFIED"]) == ("/weights", "1")
    assert (volume["type"], volume["source"]) == ("bind", "/srv/weights")
    assert volume["read_only"] is True


def test_what_looks_at_the_service_is_a_project_of_its_own() -> None:
    config = yaml.safe_load(output("docker-compose", *OBSERVE, "config"))
    assert config["name"] == "lacuna-observe"
    inference = config["networks"]["inference"]
    assert (inference["name"], inference["external"]) == ("lacuna_inference", True)
    own = yaml.safe_load(output("docker-compose", "config"))
    assert (own["name"], own["networks"]["inference"]["name"]) == ("lacuna", "lacuna_inference")


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
    ],
)
def test_services_start_in_order(name: str, needed: str, condition: str) -> None:
    assert services(*EVERY_PROFILE)[name]["depends_on"][needed]["condition"] == condition


def test_grafana_starts_after_prometheus() -> None:
    needed = services(*OBSERVE)["grafana"]["depends_on"]["prometheus"]
    assert needed["condition"] == "service_healthy"


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
    for name, service in all_of_it().items():
        for volume in service.get("volumes", []):
            if volume["type"] == "bind":
                assert Path(volume["source"]).exists(), name
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
    # The only one: what is set for loopback is not there beside it, even with the same number.
    (open_port,) = gateway["ports"]
    assert "host_ip" not in open_port
    assert (open_port["published"], open_port["target"]) == ("8443", 8080)


SWARM = yaml.safe_load((ROOT / "deploy/compose/swarm.yml").read_text())


def test_swarm_has_the_images_and_limits_of_compose() -> None:
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    for name in ("gateway", "triton"):
        service = SWARM["services"][name]
        assert service["image"] == compose[name]["image"]
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
        assert service["stop_grace_period"] == compose[name]["stop_grace_period"].replace(
            "${STOP_GRACE_PERIOD:-130s}", "130s"
        )
        limit = service["deploy"]["resources"]["limits"]["memory"]
        assert limit.lower() == compose[name]["mem_limit"]


def test_swarm_starts_the_new_one_before_it_ends_the_old() -> None:
    for name in ("gateway", "triton"):
        deploy = SWARM["services"][name]["deploy"]
        assert deploy["update_config"]["order"] == "start-first"
        assert deploy["rollback_config"]["order"] == "start-first"
        assert deploy["update_config"]["failure_action"] == "rollback"


def test_swarm_gives_each_triton_an_address_and_no_way_out() -> None:
    services = SWARM["services"]
    assert services["gateway"]["environment"]["LACUNA_TRITON"] == "http://tasks.triton:8001"
    assert services["triton"]["deploy"]["endpoint_mode"] == "dnsrr"
    for name in ("triton", "valkey"):
        assert services[name]["networks"] == ["inference"]
    assert SWARM["networks"]["inference"]["internal"] is True
    # Tokens are a secret, and no variable.
    assert "LACUNA_TOKENS" not in services["gateway"]["environment"]
    (secret,) = services["gateway"]["secrets"]
    assert secret["mode"] == 0o400 and secret["uid"] == "10001"
