"""The Helm chart: what it renders with the settings people use, against Kubernetes' own schemas."""

import base64
import json
import re
from typing import Any

import kubernetes_validate
import pytest
import yaml

from chart_readme import rows, with_table
from tests.run import CHART, DEPLOY, ROOT, output, tool

TOKENS = ("--set", "tokens.existingSecret=callers")
GPU = (
    *TOKENS,
    "--set=triton.gpu.enabled=true,triton.gpu.existingClaim=models,triton.gpu.build=true",
    "--set=triton.image.repository=triton-gpu",
    "--set=gateway.settings.LACUNA_INPAINT_MODEL=lama",
)
CASES = {
    "as it is": TOKENS,
    "with tokens of its own": ("--set", "tokens.file=a 00 60 10\nb 11"),
    "with a GPU": GPU,
    "with all that can be had": (
        *GPU,
        "--set=gateway.tls.secretName=certificate,gateway.settings.LACUNA_MAX_QUEUE=64",
        "--set=triton.autoscaling.enabled=true,monitoring.labels.release=prometheus",
        "--set=monitoring.serviceMonitor=true,monitoring.rules=true,monitoring.dashboard=true",
        "--set=networkPolicy.callers[0].podSelector.matchLabels.app=web",
        "--set=gateway.nodeSelector.disk=ssd,triton.tolerations[0].key=gpu",
        "--set=triton.tolerations[0].operator=Exists",
    ),
    "with KEDA": (
        *TOKENS,
        "--set=triton.autoscaling.enabled=true,triton.autoscaling.kind=keda",
    ),
    "with an ingress": (
        *TOKENS,
        "--set=gateway.ingress.enabled=true,gateway.ingress.className=nginx",
        "--set=gateway.ingress.hosts={photos.example.org,*.example.net}",
        "--set=gateway.ingress.tlsSecretName=names",
        '--set-json=gateway.ingress.annotations={"nginx.ingress.kubernetes.io/proxy-body-size":"21m"}',
        "--set=imagePullSecrets={registry},test.tokenSecret=caller-token",
    ),
    "without internet": ("-f", str(DEPLOY / "helm/examples/offline.yaml")),
    "with nothing that can be left out": (
        *TOKENS,
        "--set=gateway.autoscaling.enabled=false,networkPolicy.enabled=false",
    ),
}
OPERATORS = {"ServiceMonitor", "PrometheusRule", "ScaledObject"}
"""Kinds of other projects, of which Kubernetes has no schema."""
VERSIONS = ("1.27", "1.32", "1.37")


def render(*settings: str) -> list[dict[str, Any]]:
    """The manifests."""
    text = output("helm", "template", "lacuna", str(CHART), "--namespace", "photos", *settings)
    return [manifest for manifest in yaml.safe_load_all(text) if manifest]


def pick(manifests: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    """The one of that kind and name."""
    (found,) = (m for m in manifests if (m["kind"], m["metadata"]["name"]) == (kind, name))
    return found


def pod(manifests: list[dict[str, Any]], component: str) -> dict[str, Any]:
    """The pod that a Deployment makes."""
    deployment = pick(manifests, "Deployment", f"lacuna-{component}")
    return dict(deployment["spec"]["template"]["spec"])


def environment(container: dict[str, Any]) -> dict[str, str]:
    """A container's variables."""
    return {each["name"]: each["value"] for each in container["env"]}


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES.keys())
def test_the_chart_passes_lint(settings: tuple[str, ...]) -> None:
    output("helm", "lint", "--strict", str(CHART), *settings)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("settings", CASES.values(), ids=CASES.keys())
def test_kubernetes_knows_every_field(settings: tuple[str, ...], version: str) -> None:
    checked = 0
    for manifest in render(*settings):
        if manifest["kind"] not in OPERATORS:
            kubernetes_validate.validate(manifest, version, strict=True)
            checked += 1
    assert checked >= 7


def test_the_schema_check_can_fail() -> None:
    manifest = render(*TOKENS)[0]
    manifest["spec"]["podSelektor"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(manifest, VERSIONS[-1], strict=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ((), "no caller could get in"),
        ((*TOKENS, "--set", "tokens.file=a"), "not both"),
        ((*TOKENS, "--set", "triton.gpu.enabled=true"), "triton.gpu.existingClaim"),
        ((*TOKENS, "--set", "gateway.replica=3"), "replica"),
        ((*TOKENS, "--set", "triton.autoscaling.kind=vpa"), "kind"),
        ((*TOKENS, "--set", "gateway.settings.LACUNA_TRITON=http://x:1"), "LACUNA_TRITON"),
        ((*TOKENS, "--set", "gateway.settings.PATH=x"), "PATH"),
        ((*TOKENS, "--set", "registry="), "registry"),
        ((*TOKENS, "--set", "registry=https://example.org"), "registry"),
        ((*TOKENS, "--set", "gateway.image.digest=sha256:12"), "digest"),
        ((*TOKENS, "--set", "gateway.image.tag=a b"), "tag"),
        ((*TOKENS, "--set", "gateway.resources.limits.memory=3GB"), "memory"),
        ((*TOKENS, "--set", "gateway.topologySpread.whenUnsatisfiable=Never"), "whenUnsatisfiable"),
        ((*TOKENS, "--set", "triton.tolerations[0].keys=x"), "keys"),
        ((*TOKENS, "--set", "triton.rollingUpdate.maxSurge=half"), "maxSurge"),
        ((*TOKENS, "--set", "gateway.ingress.enabled=true"), "gateway.ingress.hosts"),
        ((*TOKENS, "--set", "gateway.ingress.hosts={https://a.example}"), "hosts"),
        ((*TOKENS, "--set", "networkPolicy.callers[0].app=web"), "app"),
    ],
)
def test_wrong_settings_are_refused(settings: tuple[str, ...], message: str) -> None:
    done = tool("helm", "template", "lacuna", str(CHART), *settings)
    assert done.returncode != 0
    assert message in done.stderr


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES.keys())
def test_every_container_is_locked_down(settings: tuple[str, ...]) -> None:
    pods = [
        manifest["spec"]["template"]["spec"]
        for manifest in render(*settings)
        if manifest["kind"] in ("Deployment", "Job")
    ]
    for spec in pods:
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["automountServiceAccountToken"] is False
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert security["allowPrivilegeEscalation"] is False
            assert security["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("settings", CASES.values(), ids=CASES.keys())
def test_selectors_find_their_pods_and_no_others(settings: tuple[str, ...]) -> None:
    manifests = render(*settings)
    labels = {
        m["metadata"]["name"]: m["spec"]["template"]["metadata"]["labels"]
        for m in manifests
        if m["kind"] in ("Deployment", "Job")
    }

    def found(selector: dict[str, str]) -> set[str]:
        return {name for name, have in labels.items() if selector.items() <= have.items()}

    expected = {
        ("Service", "lacuna-gateway"): {"lacuna-gateway"},
        ("Service", "lacuna-gateway-metrics"): {"lacuna-gateway"},
        ("Service", "lacuna-triton"): {"lacuna-triton"},
    }
    for (kind, name), pods in expected.items():
        assert found(pick(manifests, kind, name)["spec"]["selector"]) == pods
    for component in ("gateway", "triton"):
        name = f"lacuna-{component}"
        for kind in ("PodDisruptionBudget", "Deployment"):
            selector = pick(manifests, kind, name)["spec"]["selector"]["matchLabels"]
            assert found(selector) == {name}


def test_the_gateway_balances_over_the_addresses_of_a_headless_service() -> None:
    manifests = render(*TOKENS)
    service = pick(manifests, "Service", "lacuna-triton")
    assert service["spec"]["clusterIP"] == "None"
    (container,) = pod(manifests, "gateway")["containers"]
    assert environment(container)["LACUNA_TRITON"] == "http://lacuna-triton:8001"


@pytest.mark.parametrize(("component", "most"), [("gateway", 5 + 120), ("triton", 15 + 30)])
def test_pods_may_take_longer_to_end_than_they_need(component: str, most: int) -> None:
    assert pod(render(*TOKENS), component)["terminationGracePeriodSeconds"] > most


@pytest.mark.parametrize(
    ("settings", "drain"),
    [
        (("LACUNA_REQUEST_TIMEOUT=300",), 300),
        (("LACUNA_DRAIN_TIMEOUT=40.5",), 40.5),
        (("LACUNA_REQUEST_TIMEOUT=60", "LACUNA_DRAIN_TIMEOUT=200"), 200),
    ],
)
def test_the_grace_period_follows_the_drain(settings: tuple[str, ...], drain: float) -> None:
    flags = [f"--set=gateway.settings.{setting}" for setting in settings]
    grace = pod(render(*TOKENS, *flags), "gateway")["terminationGracePeriodSeconds"]
    assert 5 + drain < grace < 5 + drain + 20


def test_tokens_are_mounted_in_a_way_that_follows_the_secret() -> None:
    spec = pod(render(*TOKENS), "gateway")
    (container,) = spec["containers"]
    (mount,) = (m for m in container["volumeMounts"] if m["name"] == "tokens")
    assert "subPath" not in mount
    assert environment(container)["LACUNA_TOKENS_FILE"] == f"{mount['mountPath']}/tokens"
    (volume,) = (v for v in spec["volumes"] if v["name"] == "tokens")
    assert volume["secret"]["secretName"] == "callers"


def test_tokens_of_the_chart_keep_their_lines() -> None:
    secret = pick(render(*CASES["with tokens of its own"]), "Secret", "lacuna-tokens")
    assert secret["stringData"]["tokens"].split("\n")[:2] == ["a 00 60 10", "b 11"]


def test_probes_follow_tls() -> None:
    for settings, scheme in (((), "HTTP"), (("--set=gateway.tls.secretName=c",), "HTTPS")):
        (container,) = pod(render(*TOKENS, *settings), "gateway")["containers"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert container[probe]["httpGet"]["scheme"] == scheme


def test_only_the_gateway_reaches_triton() -> None:
    policy = pick(render(*TOKENS), "NetworkPolicy", "lacuna-triton")["spec"]
    grpc, metrics = policy["ingress"]
    assert [port["port"] for port in grpc["ports"]] == [8001]
    (peer,) = grpc["from"]
    gateway = pick(render(*TOKENS), "Deployment", "lacuna-gateway")["spec"]["template"]
    assert peer["podSelector"]["matchLabels"] == gateway["metadata"]["labels"]
    assert [port["port"] for port in metrics["ports"]] == [8002]
    assert all("namespaceSelector" in peer for peer in metrics["from"])
    assert "Egress" in policy["policyTypes"] and "egress" not in policy


def test_without_any_prometheus_nobody_reads_the_metrics() -> None:
    for component, ports in (("gateway", [8080]), ("triton", [8001])):
        manifests = render(*TOKENS, "--set-json=networkPolicy.prometheus=[]")
        rules = pick(manifests, "NetworkPolicy", f"lacuna-{component}")["spec"]["ingress"]
        assert [port["port"] for rule in rules for port in rule["ports"]] == ports


def test_a_gpu_is_asked_for_by_what_needs_one() -> None:
    manifests = render(*GPU)
    (triton,) = pod(manifests, "triton")["containers"]
    job = pick(manifests, "Job", "lacuna-models")["spec"]["template"]["spec"]
    assert triton["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert job["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == 1
    (cpu,) = pod(render(*TOKENS), "triton")["containers"]
    assert "nvidia.com/gpu" not in cpu["resources"]["limits"]


def test_the_jobs_of_the_monitors_are_those_of_the_alerts() -> None:
    manifests = render(*CASES["with all that can be had"])
    found = {}
    for monitor in (m for m in manifests if m["kind"] == "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        (endpoint,) = monitor["spec"]["endpoints"]
        (service,) = (
            m
            for m in manifests
            if m["kind"] == "Service" and wanted.items() <= m["metadata"]["labels"].items()
        )
        assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
        (relabeling,) = endpoint["relabelings"]
        found[service["metadata"]["name"]] = relabeling["replacement"]
    assert found == {"lacuna-gateway-metrics": "lacuna-gateway", "lacuna-triton": "lacuna-triton"}


def test_rules_and_dashboard_arrive_whole() -> None:
    manifests = render(*CASES["with all that can be had"])
    rules = pick(manifests, "PrometheusRule", "lacuna")["spec"]
    assert rules == yaml.safe_load((CHART / "files/alerts.yml").read_text())
    board = pick(manifests, "ConfigMap", "lacuna-dashboard")["data"]["lacuna.json"]
    assert yaml.safe_load(board) == yaml.safe_load((CHART / "files/dashboard.json").read_text())


def test_a_package_of_the_chart_carries_the_linked_files(tmp_path: Any) -> None:
    output("helm", "package", str(CHART), "--destination", str(tmp_path))
    (package,) = tmp_path.glob("*.tgz")
    text = output(
        "helm", "template", "lacuna", str(package), *TOKENS, "--set=monitoring.rules=true"
    )
    assert "LacunaGatewayDown" in text


def images(manifests: list[dict[str, Any]]) -> dict[str, str]:
    """Each container's image, by the name of the container."""
    found = {}
    for manifest in manifests:
        spec = manifest.get("spec", {})
        pod_spec = spec.get("template", {}).get("spec") or (spec if "containers" in spec else {})
        for container in [*pod_spec.get("initContainers", []), *pod_spec.get("containers", [])]:
            found[container["name"]] = container["image"]
    return found


def test_the_images_are_those_that_compose_builds() -> None:
    built = set(
        re.findall(r"lacuna\.invalid\}/([a-z-]+):", (ROOT / "docker-compose.yml").read_text())
    )
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert f"LACUNA_VERSION:-{version}}}" in (ROOT / "docker-compose.yml").read_text()
    found = set(images(render(*TOKENS)).values()) | set(images(render(*GPU)).values())
    assert found == {f"lacuna.invalid/{name}:{version}" for name in built}


def test_one_registry_holds_for_all_images_and_a_digest_wins_over_a_tag() -> None:
    digest = "sha256:" + 64 * "a"
    found = images(
        render(
            *GPU,
            "--set=registry=example.org:5000/x,gateway.image.tag=v2",
            f"--set=triton.image.tag=v3,triton.image.digest={digest}",
        )
    )
    assert found == {
        "gateway": "example.org:5000/x/gateway:v2",
        "triton": f"example.org:5000/x/triton-gpu@{digest}",
        "compile": f"example.org:5000/x/triton-gpu@{digest}",
        "export": "example.org:5000/x/models:0.1.0",
        "erase": "example.org:5000/x/gateway:v2",
    }


def test_settings_that_the_chart_gives_are_the_gateways_own_defaults() -> None:
    settings = yaml.safe_load((CHART / "values.yaml").read_text())["gateway"]["settings"]
    config = (ROOT / "src/config.rs").read_text()
    for name, value in settings.items():
        field = re.search(rf'#\[arg\([^]]*env = "{name}"[^]]*\)\]', config)
        assert field and f'default_value = "{value}"' in field[0], name


def test_the_readme_has_the_values_and_their_defaults() -> None:
    page, values = (CHART / "README.md").read_text(), (CHART / "values.yaml").read_text()
    assert page == with_table(page, values), "run `make chart-readme`"


def test_the_table_has_every_value_and_every_default() -> None:
    text = (CHART / "values.yaml").read_text()
    found = {row.path: row.default for row in rows(text)}

    def check(value: Any, path: tuple[str, ...]) -> None:
        if found.get(path):
            assert yaml.safe_load(found[path]) == value, path
        else:
            assert isinstance(value, dict) and value, path
            for key, inner in value.items():
                check(inner, (*path, key))

    check(yaml.safe_load(text), ())


def test_the_schema_is_strict_everywhere() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def check(part: Any, path: str) -> None:
        if isinstance(part, dict):
            if "properties" in part:
                assert part.get("additionalProperties") is False, path
            for key, inner in part.items():
                check(inner, f"{path}/{key}")

    check(schema, "")


def test_the_schema_has_exactly_the_values() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())

    def check(part: dict[str, Any], value: Any, path: str) -> None:
        if "$ref" in part:
            part = schema["definitions"][part["$ref"].rpartition("/")[2]]
        if "properties" in part:
            known = set(part["properties"]) - {"global"}
            assert known == set(value), path
            for key in known:
                check(part["properties"][key], value[key], f"{path}.{key}")

    check(schema, yaml.safe_load((CHART / "values.yaml").read_text()), "")


def test_an_ingress_leads_its_hosts_to_the_api() -> None:
    ingress = pick(render(*CASES["with an ingress"]), "Ingress", "lacuna-gateway")
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["spec"]["tls"] == [
        {"hosts": ["photos.example.org", "*.example.net"], "secretName": "names"}
    ]
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == [
        "photos.example.org",
        "*.example.net",
    ]
    service = pick(render(*TOKENS), "Service", "lacuna-gateway")
    for rule in ingress["spec"]["rules"]:
        (path,) = rule["http"]["paths"]
        assert path["backend"]["service"]["port"]["name"] == service["spec"]["ports"][0]["name"]
    assert not [m for m in render(*TOKENS) if m["kind"] == "Ingress"]


@pytest.mark.parametrize("component", ["gateway", "triton"])
def test_pods_are_spread_over_nodes_and_zones(component: str) -> None:
    spec = pod(render(*TOKENS), component)
    found = {each["topologyKey"]: each for each in spec["topologySpreadConstraints"]}
    assert set(found) == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    labels = pick(render(*TOKENS), "Deployment", f"lacuna-{component}")["spec"]["template"]
    for each in found.values():
        assert each["labelSelector"]["matchLabels"] == labels["metadata"]["labels"]
    none = pod(render(*TOKENS, f"--set-json={component}.topologySpread.topologyKeys=[]"), component)
    assert "topologySpreadConstraints" not in none


def test_the_test_erases_a_box_from_a_photo_and_gets_in() -> None:
    manifests = render(
        *TOKENS, "--set=test.tokenSecret=anna,networkPolicy.callers[0].podSelector.x=y"
    )
    test = pick(manifests, "Pod", "lacuna-test")
    assert test["metadata"]["annotations"]["helm.sh/hook"] == "test"
    photo = pick(manifests, "ConfigMap", "lacuna-test")["binaryData"]["photo.jpg"]
    assert base64.b64decode(photo) == (ROOT / "tests/samples/plain.jpg").read_bytes()
    (container,) = test["spec"]["containers"]
    variables = {each["name"]: each for each in container["env"]}
    assert variables["LACUNA_SERVER"]["value"] == "http://lacuna-gateway:80"
    assert variables["LACUNA_TOKEN"]["valueFrom"]["secretKeyRef"] == {
        "name": "anna",
        "key": "token",
    }
    policy = pick(manifests, "NetworkPolicy", "lacuna-gateway")["spec"]["ingress"][0]
    assert {"podSelector": {"matchLabels": test["metadata"]["labels"]}} in policy["from"]
    # No Service sends callers to it.
    selectors = [m["spec"]["selector"] for m in manifests if m["kind"] == "Service"]
    assert not [each for each in selectors if each.items() <= test["metadata"]["labels"].items()]


def test_without_internet_nothing_is_fetched_but_the_images() -> None:
    manifests = render(*CASES["without internet"])
    assert all("@sha256:" in image for image in images(manifests).values())
    job = pick(manifests, "Job", "lacuna-models")["spec"]["template"]["spec"]
    (export,) = job["initContainers"]
    assert {"name": "MODELS_FROM", "value": "/weights"} in export["env"]
    claims = {
        volume["name"]: volume["persistentVolumeClaim"]["claimName"]
        for volume in job["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert claims == {"models": "lacuna-models", "weights": "lacuna-weights"}
