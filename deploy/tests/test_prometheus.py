"""Prometheus' configuration, the alerts, and every metric that anything here asks for."""

import json
import re
from pathlib import Path

import yaml

from tests.run import CHART, DEPLOY, PROMETHEUS, ROOT, output
from tests.test_helm import CASES, render

LACUNA = [
    "lacuna_requests_total",
    "lacuna_request_seconds",
    "lacuna_step_seconds",
    "lacuna_upload_seconds",
    "lacuna_queue_waiting",
    "lacuna_at_work",
    "lacuna_work_bytes",
    "lacuna_wait_seconds",
    "lacuna_connections",
    "lacuna_replica_up",
    "lacuna_replica_in_flight",
    "lacuna_replica_ejected",
    "lacuna_replica_ejections_total",
    "lacuna_replica_retries_total",
    "lacuna_shared_limit_errors_total",
    "lacuna_tokens_reload_failures_total",
    "process_resident_memory_bytes",
    "process_open_fds",
    "process_max_fds",
    "process_cpu_seconds_total",
    "process_start_time_seconds",
]
"""What the gateway exports."""
TRITON = [
    "nv_inference_request_success",
    "nv_inference_request_failure",
    "nv_inference_count",
    "nv_inference_exec_count",
    "nv_inference_queue_duration_us",
    "nv_inference_compute_infer_duration_us",
    "nv_inference_pending_request_count",
]
"""Of what Triton 2.51 exports, that which is used here."""
RULE = CHART / "prometheus-adapter-rule.yaml"
METRIC = re.compile(r"\b(?:lacuna|process|nv)_[a-z_]+")


def known(name: str) -> bool:
    return name in LACUNA + TRITON + ["up"] or any(
        name == f"lacuna_{histogram}_seconds_{part}"
        for histogram in ("request", "step", "upload", "wait")
        for part in ("bucket", "sum", "count")
    )


def alert_queries() -> list[str]:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


def dashboard_queries() -> list[str]:
    board = json.loads((DEPLOY / "grafana/dashboards/lacuna.json").read_text())
    return [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]


def scaling_queries() -> list[str]:
    (rule,) = yaml.safe_load(RULE.read_text())
    (keda,) = (m for m in render(*CASES["with KEDA"]) if m["kind"] == "ScaledObject")
    trigger = keda["spec"]["triggers"][0]["metadata"]["query"]
    return [rule["seriesQuery"], rule["metricsQuery"], trigger]


def test_promtool_accepts_the_configuration_and_the_rules() -> None:
    output("promtool", "check", "config", str(PROMETHEUS / "prometheus.yml"))
    output(
        "promtool", "check", "rules", "--lint=all", "--lint-fatal", str(PROMETHEUS / "alerts.yml")
    )


def test_the_alerts_fire_when_they_should_and_only_then() -> None:
    output("promtool", "test", "rules", str(PROMETHEUS / "alerts_test.yml"))


def test_every_alert_has_a_test_and_a_section_for_the_operator() -> None:
    groups = yaml.safe_load((PROMETHEUS / "alerts.yml").read_text())["groups"]
    alerts = {rule["alert"] for group in groups for rule in group["rules"]}
    tests = yaml.safe_load((PROMETHEUS / "alerts_test.yml").read_text())["tests"]
    fired = {
        case["alertname"]
        for test in tests
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert fired == alerts
    page = (ROOT / "docs/operations.md").read_text()
    assert set(re.findall(r"^### (Lacuna\w+)$", page, re.MULTILINE)) == alerts


def test_only_metrics_that_are_exported_are_asked_for() -> None:
    for query in alert_queries() + dashboard_queries() + scaling_queries():
        names = [name for name in METRIC.findall(query) if not name.endswith("_")]
        assert names or "up{" in query, query
        for name in names:
            assert known(name), f"{name} in {query}"


def test_promtool_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": "lacuna:panel", "expr": query.replace("$__rate_interval", "5m")}
        for query in dashboard_queries() + scaling_queries()[2:]
    ]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    output("promtool", "check", "rules", "--lint=none", str(file))


def test_the_autoscaler_asks_for_what_the_adapter_makes() -> None:
    (rule,) = yaml.safe_load(RULE.read_text())
    (scaler,) = (
        m
        for m in render(*CASES["with all that can be had"])
        if m["kind"] == "HorizontalPodAutoscaler" and m["metadata"]["name"] == "lacuna-triton"
    )
    assert scaler["spec"]["metrics"][0]["pods"]["metric"]["name"] == rule["name"]["as"]


def test_the_memory_alert_goes_with_the_limits() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert "mem_limit: 3g" in compose
    assert values["gateway"]["resources"]["limits"]["memory"] == "3Gi"
    assert any("0.85 * 3 * 1024 * 1024 * 1024" in query for query in alert_queries())


def test_panels_do_not_overlap_and_have_ids_of_their_own() -> None:
    panels = json.loads((DEPLOY / "grafana/dashboards/lacuna.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        covered = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not covered & cells, panel["title"]
        cells |= covered


def test_grafana_reads_the_dashboard_from_where_compose_mounts_it() -> None:
    provider = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/lacuna.yml").read_text())
    (folder,) = (each["options"]["path"] for each in provider["providers"])
    mounts = (DEPLOY / "compose/observe.yml").read_text()
    assert f"../grafana/dashboards:{folder}:ro" in mounts
