"""Dashboards, alerts and scraping name only metrics, labels and label values that exist."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet import metrics
from fleet.instruments import Family, names_of
from tests.deploy.compose_file import services
from tests.deploy.manifests import KUBERNETES, ROOT, named, needs_kubectl, pod_of, render
from tests.deploy.promql import Expression, parse
from tests.docs.pages import rows

FOLDER = ROOT / "deploy" / "observability"
#: Made by Prometheus itself, and put on every series by scraping.
OF_PROMETHEUS = frozenset({"up"})
SCRAPED_LABELS = frozenset({"instance", "job", "namespace", "pod", "component"})
PROMTOOL = shutil.which("promtool")


def alert_groups() -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"]
    return groups


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "grafana" / "fleet.json").read_text())
    return found


def expressions() -> Iterator[tuple[str, str]]:
    """(where, expression) of every alert, panel and adapter rule."""
    for group in alert_groups():
        yield from ((f"alert {rule['alert']}", rule["expr"]) for rule in group["rules"])
    for panel in dashboard()["panels"]:
        yield from ((f"panel {panel['title']}", target["expr"]) for target in panel.get("targets", []))
    for rule in yaml.safe_load((FOLDER / "prometheus-adapter.yml").read_text())["externalRules"]:
        yield "adapter", rule["seriesQuery"]


def families() -> dict[str, Family[Any]]:
    """Our families by every name their series can have."""
    found: dict[str, Family[Any]] = {}
    for name, family in vars(metrics).items():
        if isinstance(family, Family):
            found |= dict.fromkeys((name, f"{name}_bucket", f"{name}_count", f"{name}_sum"), family)
    return found


def problems(expression: Expression) -> Iterator[str]:
    """Names that do not exist, and values a label can never have."""
    known, ours = set(names_of()) | OF_PROMETHEUS, families()
    yield from (f"no metric {name}" for name in expression.metrics - known)
    labels = {label.name for name in expression.metrics & set(ours) for label in ours[name].labels}
    pools = {"pool"} if any(name.startswith("db_pool_") for name in expression.metrics) else set()
    yield from (f"no label {name}" for name in expression.grouped_by - labels - pools - SCRAPED_LABELS - {"le"})
    for matcher in expression.matchers:
        allowed = {label.name: label for label in ours[matcher.metric].labels} if matcher.metric in ours else {}
        if matcher.label not in {*allowed, *SCRAPED_LABELS, "pool"}:
            yield f"{matcher.metric} has no label {matcher.label}"
        values = allowed[matcher.label].values if matcher.label in allowed else None
        if matcher.exact and values is not None and matcher.value not in values:
            yield f"{matcher.metric}: {matcher.label} is never {matcher.value!r}"


@pytest.mark.parametrize(("where", "expression"), list(expressions()), ids=[where for where, _ in expressions()])
def test_everything_an_expression_names_exists(where: str, expression: str) -> None:
    assert list(problems(parse(expression))) == [], where


@pytest.mark.parametrize(
    "expression",
    [
        "rate(http_request_total[5m])",
        "sum by (tenant) (rate(http_requests_total[5m]))",
        'http_requests_total{code="500"}',
        'jobs_total{outcome="exploded"}',
        'max by (queue) (queue_depth{queue="urgent"})',
        "up == 0 and no_such_thing > 1",
        "histogram_quantile(0.9, sum by (le) (rate(http_requests_in_flight_bucket[5m])))",
    ],
)
def test_an_expression_that_names_nothing_is_caught(expression: str) -> None:
    assert list(problems(parse(expression)))


@pytest.mark.parametrize("expression", ["sum(rate(x[5m])", 'x{a="b"', "x{a b}"])
def test_an_unreadable_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match=r"unbalanced|no matcher"):
        parse(expression)


def test_the_parser_sees_names_and_not_functions_labels_or_text() -> None:
    found = parse(
        'histogram_quantile(0.99, sum by (le, kind) (rate(a_bucket{k=~"x.*y", q="b c(d)"}[5m]))) or e:f > 1'
    )
    assert found.metrics == {"a_bucket", "e:f"}
    assert found.grouped_by == {"le", "kind"}
    assert [(m.label, m.value, m.exact) for m in found.matchers] == [("k", "x.*y", False), ("q", "b c(d)", True)]


def test_alerts_are_complete_and_unique() -> None:
    rules = [rule for group in alert_groups() for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]


def test_every_alert_has_a_line_in_the_runbook() -> None:
    documented = [name for row in rows(ROOT / "docs" / "alerts.md", "Runbook") for name in row.codes(0)]
    assert sorted(documented) == sorted(rule["alert"] for group in alert_groups() for rule in group["rules"])


def test_the_operator_gets_the_same_alerts() -> None:
    operator = yaml.safe_load((KUBERNETES / "overlays" / "production" / "alerts.yaml").read_text())
    assert operator["spec"]["groups"] == alert_groups()


def test_the_dashboard_is_one_grafana_can_load() -> None:
    found = dashboard()
    panels = found["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels]
    assert len(set(places)) == len(places)
    for panel in panels:
        if panel["type"] != "row":
            assert panel["description"]
            assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    assert found["templating"]["list"][0]["query"] == "prometheus"


def test_prometheus_scrapes_every_process_of_the_compose_file() -> None:
    [job] = yaml.safe_load((FOLDER / "prometheus.yml").read_text())["scrape_configs"]
    [found] = job["dns_sd_configs"]
    processes = {name for name, service in services().items() if "ERP_ROLE" in service.get("environment", {})}
    assert set(found["names"]) == processes
    assert str(found["port"]) == services()["api"]["environment"]["ERP_METRICS_PORT"]


@needs_kubectl
def test_the_operator_scrapes_every_process_in_kubernetes() -> None:
    objects = render("production")
    monitor = named(objects, "PodMonitor", "erp")["spec"]
    [rule] = monitor["selector"]["matchExpressions"]
    [endpoint] = monitor["podMetricsEndpoints"]
    for name in ("api", "worker-high", "worker-default", "worker-low", "coordinator"):
        deployment = named(objects, "Deployment", name)
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        assert labels[rule["key"]] in rule["values"]
        ports = {port["name"] for port in pod_of(deployment)["containers"][0]["ports"]}
        assert endpoint["port"] in ports


@needs_kubectl
def test_the_autoscaler_s_metric_is_one_we_report_and_the_adapter_offers() -> None:
    [rule] = yaml.safe_load((FOLDER / "prometheus-adapter.yml").read_text())["externalRules"]
    objects = render("production")
    for queue in metrics.QUEUES:
        scaler = named(objects, "HorizontalPodAutoscaler", f"worker-{queue}")
        metric = scaler["spec"]["metrics"][0]["external"]["metric"]
        assert metric["name"] == rule["name"]["as"]
        assert metric["name"] in set(names_of())
        assert metrics.erp_queue_latency_seconds.labels[0].values is not None
        assert metric["selector"]["matchLabels"]["queue"] in metrics.erp_queue_latency_seconds.labels[0].values


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not on PATH: Prometheus' own check of the rules is not run")
def test_prometheus_accepts_its_configuration_and_the_alerts_fire(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    panels = [expression.replace("$__rate_interval", "5m") for _, expression in expressions()]
    rules = [{"record": f"panel:{number}", "expr": text} for number, text in enumerate(panels)]
    (tmp_path / "panels.yml").write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    for command in (
        ["check", "config", str(FOLDER / "prometheus.yml")],
        ["check", "rules", str(tmp_path / "panels.yml")],
        ["test", "rules", str(Path(__file__).with_name("alerts_test.yml"))],
    ):
        done = subprocess.run([PROMTOOL, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_no_file_names_a_private_registry_or_host() -> None:
    for file in (ROOT / "deploy").rglob("*"):
        if file.suffix in (".yaml", ".yml", ".json", ".lock", ".sh", ".ini") or file.name == "Dockerfile":
            for address in re.findall(r"https?://([\w.-]+)", file.read_text()):
                assert address in PUBLIC or address.endswith((".svc", ".example.com")), f"{file}: {address}"


#: Names of our own services, the machine itself, and documentation.
PUBLIC = {"localhost", "127.0.0.1", "prometheus", "otel-collector.monitoring.svc"}
