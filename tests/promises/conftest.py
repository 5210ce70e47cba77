"""Homes for the tests of the promises: one template on each database, copied for every test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from living_home import HomeTemplate, LivingHome


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def template(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> HomeTemplate:
    """A fresh home on each of the two databases."""
    server = request.getfixturevalue("postgres_server") if request.param == "postgresql" else None
    return HomeTemplate.make(tmp_path_factory.mktemp("template"), server)


@pytest.fixture
def living(template: HomeTemplate, tmp_path: Path) -> Iterator[LivingHome]:
    """A home of its own for one test."""
    (tmp_path / "state").mkdir()
    settings = template.copy(tmp_path / "state")
    with LivingHome(settings) as home:
        yield home
    template.drop(settings)
