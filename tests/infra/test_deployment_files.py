"""What stands in infra/ fits what it runs: settings that exist, commands that parse, metrics that are there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from core.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"
COMPOSE: dict[str, Any] = yaml.safe_load((INFRA / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, Any] = COMPOSE["services"]
OURS = ("api", "worker", "beat")


def test_compose_runs_every_part_of_a_cluster() -> None:
    assert {"api", "worker", "beat", "vllm", "postgres", "redis", "prometheus"} <= SERVICES.keys()


@pytest.mark.parametrize("service", OURS)
def test_every_variable_that_compose_sets_is_a_setting(service: str) -> None:
    names = {name.removeprefix("FOOTNOTE_").lower() for name in SERVICES[service]["environment"]}

    assert names <= Settings.model_fields.keys()


def test_compose_keeps_no_password_and_shows_no_port_to_the_network() -> None:
    text = (INFRA / "compose.yaml").read_text(encoding="utf-8")
    for line in text.splitlines():
        if "PASSWORD" in line and ":" in line and "$$" not in line:
            # Unset is refused: what is started with an empty one would have a password that everybody knows, or none.
            assert ":?" in line, line
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert published and all(port.startswith("127.0.0.1:") for port in published)
    example = (INFRA / "compose.env.example").read_text(encoding="utf-8")
    assert re.findall(r"^\w*(?:PASSWORD|KEY)=(.*)$", example, re.M) == [""] * 4


def test_what_holds_the_secrets_of_a_deployment_is_never_committed() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()

    assert {"infra/.env", "infra/metrics.key", ".footnote-cluster/", ".footnote/"} <= set(ignored)


def test_databases_and_models_are_reached_from_inside_only() -> None:
    for service in ("postgres", "redis", "vllm"):
        assert SERVICES[service]["networks"] == ["inside"] and "ports" not in SERVICES[service]
    assert COMPOSE["networks"]["inside"] == {"internal": True}


def test_every_file_that_compose_mounts_or_builds_from_is_there() -> None:
    assert (ROOT / SERVICES["api"]["build"]["dockerfile"]).is_file()
    mounted = [volume for service in SERVICES.values() for volume in service.get("volumes", [])]
    files = [volume.split(":")[0] for volume in mounted if volume.startswith("./")]
    assert len(files) >= 4 and all((INFRA / name).exists() for name in files)
    named = {volume.split(":")[0] for volume in mounted if not volume.startswith((".", "$"))}
    assert named == COMPOSE["volumes"].keys()


def test_the_image_holds_every_room_that_is_installed() -> None:
    config = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    rooms = set(re.findall(r'"(\w+)\*"', config))
    dockerfile = (INFRA / "docker" / "Dockerfile").read_text(encoding="utf-8")
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8")

    assert rooms == set(re.findall(r"^COPY (\w+) \1$", dockerfile, re.M))
    assert all(f"!{room}\n" in ignored for room in rooms)
    files = re.findall(r"^COPY (.+) \./$", dockerfile, re.M)[0].split()
    assert {"pyproject.toml", "setup.py"} <= set(files) and all(f"!{name}\n" in ignored for name in files)


def _expressions() -> list[str]:
    dashboard = json.loads((INFRA / "grafana" / "footnote.json").read_text(encoding="utf-8"))
    alerts = yaml.safe_load((INFRA / "prometheus" / "alerts.yml").read_text(encoding="utf-8"))
    shown = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", [])]
    return shown + [rule["expr"] for group in alerts["groups"] for rule in group["rules"]]


def _documented() -> set[str]:
    page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    return set(re.findall(r"^\| `(footnote_\w+)`", page, re.M))


def test_every_metric_that_is_drawn_or_alerted_on_is_documented() -> None:
    used = {name for expression in _expressions() for name in re.findall(r"footnote_\w+", expression)}

    assert len(used) >= 10
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in used} <= _documented()
