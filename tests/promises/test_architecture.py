"""The house holds its own rules: two doors to text, imports that point down, nothing read from the environment."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.principals import Principal
from governance.disclosure import Disclosure
from governance.doors import Gate

ROOT = Path(__file__).parents[2]
ROOMS = [
    "apps",
    "workers",
    "evaluation",
    "wiring",
    "generation",
    "ingest",
    "retrieval",
    "governance",
    "inference",
    "catalog",
    "core",
]  # from the top down
DOORS = "governance/doors.py"

# An audit record may be about nobody we know (a failed sign-in); that is the only Principal that may be absent.
MAY_BE_ABOUT_NOBODY = ("governance/audit/", "apps/web/routes/session.py")


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Every module that is shipped, by its path from the root, as a tree."""
    for room in ROOMS:
        for file in sorted((ROOT / room).rglob("*.py")):
            yield file.relative_to(ROOT).as_posix(), ast.parse(file.read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> set[str]:
    """Dotted names of everything a module imports, wherever in it: `a.b` and, from `from a.b import c`, `a.b.c`."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def naming_the_text_table() -> set[str]:
    """The modules that import the table of texts, or write its name in a string that could become SQL."""
    found = set()
    for path, tree in modules():
        strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        if "catalog.texts" in imported(tree) or any("version_texts" in str(value) for value in strings):
            found.add(path)
    return found


def test_only_the_doors_and_the_schema_name_the_table_of_texts() -> None:
    beside_the_schema = {path for path in naming_the_text_table() if not path.startswith("catalog/migrations/")}

    assert beside_the_schema == {DOORS, "catalog/texts.py"}


def test_only_machinery_that_shows_text_to_nobody_opens_the_door_without_a_principal() -> None:
    users = {
        path
        for path, tree in modules()
        if {"governance.doors.maintenance", "governance.doors.Maintenance"} & imported(tree)
    }

    assert users  # the check sees what it looks for
    assert {path for path in users if not path.startswith(("ingest/", "evaluation/"))} == set()


def test_every_door_for_people_requires_a_principal() -> None:
    doors = [
        method
        for part in (Gate, Disclosure)
        for name, method in inspect.getmembers(part, inspect.isfunction)
        if not name.startswith("_")
    ]
    for method in doors:
        first = list(inspect.signature(method, eval_str=True).parameters.values())[1]
        assert (first.name, first.annotation, first.default) == ("principal", Principal, inspect.Parameter.empty)


def test_no_function_takes_a_principal_that_may_be_missing() -> None:
    optional = [
        f"{path}: {function.name}({argument.arg})"
        for path, tree in modules()
        if not path.startswith(MAY_BE_ABOUT_NOBODY)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for argument in _arguments(function)
        if argument.annotation is not None and _optional_principal(ast.unparse(argument.annotation))
    ]

    assert optional == []


def test_a_principal_has_no_default() -> None:
    defaulted = [
        f"{path}: {function.name}"
        for path, tree in modules()
        if not path.startswith(MAY_BE_ABOUT_NOBODY)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for argument in _defaulted(function.args)
        if argument.annotation is not None and ast.unparse(argument.annotation) == "Principal"
    ]

    assert defaulted == []


def test_the_environment_is_read_in_wiring_only() -> None:
    readers = {
        path
        for path, tree in modules()
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv"))
        or (
            isinstance(node, ast.ImportFrom)
            and node.module == "os"
            and {"environ", "getenv"} & {a.name for a in node.names}
        )
    }

    assert {path for path in readers if not path.startswith("wiring/")} == set()


def test_imports_point_down_the_house() -> None:
    pytest.importorskip("importlinter", reason="import-linter comes with the extra `check`")
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0


def test_importing_every_module_needs_no_environment_and_no_network() -> None:
    names = [path.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for path, _ in modules()]
    # Alembic runs this one; it is no module to import.
    names.remove("catalog.migrations.env")
    program = f"""
import importlib, sys
def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.sendto"):
        raise AssertionError(f"importing reached for the network: {{event}} {{arguments}}")
sys.addaudithook(refuse)
for name in {names!r}:
    importlib.import_module(name)
"""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, env={}, capture_output=True, text=True, timeout=240
    )

    assert done.returncode == 0, done.stderr


def _arguments(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    return [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]


def _optional_principal(annotation: str) -> bool:
    parts = {part.strip() for part in annotation.removeprefix("Optional[").removesuffix("]").split("|")}
    return "Principal" in parts and ("None" in parts or annotation.startswith("Optional"))


def _defaulted(arguments: ast.arguments) -> list[ast.arg]:
    positional = [*arguments.posonlyargs, *arguments.args]
    with_default = positional[len(positional) - len(arguments.defaults) :]
    return with_default + [a for a, d in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True) if d is not None]
