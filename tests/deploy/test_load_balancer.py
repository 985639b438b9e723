"""nginx' templates, filled in as the containers do it, pass the real nginx' own check."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.local.binaries import version_of, which
from deploy.local.certificates import ensure_certificate
from tests.deploy.compose_file import interpolated, services
from tests.deploy.manifests import ROOT, named, needs_kubectl, render

TEMPLATES = ROOT / "nginx"
HTTP2_DIRECTIVE_SINCE = (1, 25, 1)

needs_nginx = pytest.mark.skipif(
    which("nginx") is None, reason="nginx is not installed: nothing checks the templates"
)


def substituted(text: str, values: dict[str, str]) -> str:
    """What the official image's envsubst does: only names that are set are replaced."""
    return re.sub(r"\$\{(\w+)\}", lambda found: values.get(found[1], found[0]), text)


def check(folder: Path, values: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """`nginx -t` on the rendered files. Names that only a cluster can resolve become an address."""
    nginx = which("nginx")
    assert nginx is not None
    ensure_certificate(folder / "tls.crt", folder / "tls.key", folder / "authority.crt")
    here = {"RUN_DIR": str(folder), "CONFIG_DIR": str(folder), "TLS_CERTIFICATE": str(folder / "tls.crt"),
            "TLS_KEY": str(folder / "tls.key"), "ACCESS_LOG": f"{folder}/access.log json_line",
            "API_SERVERS": "server 127.0.0.1:8000 max_fails=0;"}  # fmt: skip
    filled = {**values, **here}
    if version_of(nginx, "-v") < HTTP2_DIRECTIVE_SINCE:
        filled |= {"HTTP2_DIRECTIVE": "", "HTTPS_LISTEN": f"{values['HTTPS_LISTEN']} http2"}
    for file in TEMPLATES.glob("*.conf*"):
        text = file.read_text()
        text = substituted(text, filled) if file.suffix == ".template" else text
        (folder / file.name.removesuffix(".template")).write_text(text)
    return subprocess.run(
        [nginx, "-e", "stderr", "-t", "-c", str(folder / "nginx.conf")], capture_output=True, text=True, check=False
    )


def compose_values() -> dict[str, str]:
    values: dict[str, str] = interpolated(services()["nginx"]["environment"], {})
    return values


@needs_nginx
def test_what_compose_tells_nginx_is_valid(tmp_path: Path) -> None:
    done = check(tmp_path, compose_values())
    assert done.returncode == 0, done.stderr


@needs_nginx
@needs_kubectl
@pytest.mark.parametrize("overlay", ["dev", "production"])
def test_what_kubernetes_tells_nginx_is_valid(overlay: str, tmp_path: Path) -> None:
    done = check(tmp_path, named(render(overlay), "ConfigMap", "nginx-settings")["data"])
    assert done.returncode == 0, done.stderr


@needs_nginx
@pytest.mark.parametrize(("name", "value"), [("BURST", "many"), ("HTTPS_LISTEN", ""), ("REQUESTS_PER_SECOND", None)])
def test_a_wrong_or_missing_value_is_caught(name: str, value: str | None, tmp_path: Path) -> None:
    values = compose_values()
    if value is None:
        del values[name]
    else:
        values[name] = value
    assert check(tmp_path, values).returncode != 0


@needs_kubectl
def test_kubernetes_carries_the_very_same_templates() -> None:
    carried = named(render("production"), "ConfigMap", "nginx-templates")["data"]
    assert carried == {file.name: file.read_text() for file in TEMPLATES.glob("*.conf*")}
    listed = yaml.safe_load((TEMPLATES / "kustomization.yaml").read_text())["configMapGenerator"][0]["files"]
    assert set(listed) == set(carried)


@needs_kubectl
def test_the_limits_per_address_are_the_promised_ones() -> None:
    for values in (compose_values(), named(render("production"), "ConfigMap", "nginx-settings")["data"]):
        assert (values["REQUESTS_PER_SECOND"], values["CONNECTIONS"]) == ("10", "10")
