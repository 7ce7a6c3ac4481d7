"""Every setting of the gateway is documented and can be set wherever the gateway is started."""

import re

import yaml

from tests.run import ROOT
from tests.test_compose import services
from tests.test_helm import TOKENS, environment, pod, render

SETTINGS = set(re.findall(r'env = "([A-Z_]+)"', (ROOT / "src/config.rs").read_text()))
OF_THE_IMAGE = {"LACUNA_LISTEN", "LACUNA_ADMIN_LISTEN"}
OF_FILES = {
    *("LACUNA_TOKENS_FILE", "LACUNA_TLS_CERT", "LACUNA_TLS_KEY"),
    *("LACUNA_TRITON_CA", "LACUNA_TRITON_CERT", "LACUNA_TRITON_KEY"),
}
"""Those need a mount, which ``deploy/compose/public.yml`` has for what most will want."""
OF_THE_CHART = {
    *("LACUNA_TRITON", "LACUNA_TOKENS", "LACUNA_TOKENS_FILE", "LACUNA_TLS_CERT", "LACUNA_TLS_KEY"),
}


def test_the_settings_are_found() -> None:
    assert {"LACUNA_TRITON", "LACUNA_MAX_PIXELS", "OTEL_EXPORTER_OTLP_ENDPOINT"} <= SETTINGS


def test_every_setting_is_in_the_operators_page() -> None:
    # Compose has variables of its own, in a section of their own.
    page = (ROOT / "docs/operations.md").read_text().partition("\n## Settings\n")[2]
    page = page.partition("\n## ")[0]
    table = {line.split("`")[1] for line in page.splitlines() if line.startswith("| `")}
    assert SETTINGS - table == set()
    unknown = {name for name in table if name.startswith("LACUNA_")} - SETTINGS
    assert unknown == set()


def test_compose_hands_every_setting_on() -> None:
    expected = SETTINGS - OF_THE_IMAGE - OF_FILES - {"LACUNA_TRITON"}
    settings = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["x-settings"]
    assert expected - set(settings) == set()
    given = dict.fromkeys(expected, "7")
    found = services(**given)["gateway"]["environment"]
    assert {name: found[name] for name in expected} == given


def test_the_chart_takes_every_setting() -> None:
    expected = SETTINGS - OF_THE_IMAGE - OF_THE_CHART
    flags = [f"--set-string=gateway.settings.{name}=7" for name in expected]
    (container,) = pod(render(*TOKENS, *flags), "gateway")["containers"]
    assert {environment(container)[name] for name in expected} == {"7"}
