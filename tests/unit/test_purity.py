"""The core is pure: what it imports is read, not promised."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "appliance"
PURE = {
    "__future__", "ast", "base64", "binascii", "bisect", "collections", "contextlib", "dataclasses", "datetime",
    "difflib", "enum", "functools", "hashlib", "heapq", "ipaddress", "itertools", "json", "math", "operator", "re",
    "types", "typing", "unicodedata", "pydantic", "pydantic_core", "yaml", "keepalived_config",
}  # fmt: skip
# Which layer may import which; the core none but itself.
LAYERS = {
    "core": {"core"},
    "adapters": {"adapters", "core"},
    "shell": {"shell", "adapters", "core"},
    "supervisor": {"supervisor", "shell", "adapters", "core"},
    "cli": {"cli", "shell", "core", "supervisor"},
}


def imports(path: Path, at_once: bool = False) -> set[str]:
    """What a module names in its imports; a name that comes from a package may be a module of it. `at_once`: without
    what its functions import when they are called."""
    found: set[str] = set()
    tree = ast.parse(path.read_text())
    for node in tree.body if at_once else ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {node.module or "", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").rglob("*.py")), ids=lambda path: path.stem)
def test_the_core_imports_nothing_that_touches_the_world(path: Path) -> None:
    for name in imports(path):
        assert name.split(".")[0] in PURE or name.startswith("appliance.core"), f"{path.name} imports {name}"


@pytest.mark.parametrize("layer", LAYERS)
def test_layers_look_down_only(layer: str) -> None:
    for path in (PACKAGE / layer).rglob("*.py"):
        for name in imports(path):
            parts = name.split(".")
            if parts[0] == "appliance" and len(parts) > 1:
                assert parts[1] in LAYERS[layer] | {"__version__"}, f"{path.name} imports {name}"


def test_adapters_do_not_know_the_configuration_model() -> None:
    for path in (PACKAGE / "adapters").rglob("*.py"):
        assert not imports(path) & {"appliance.core.model", "appliance.core.check", "appliance.core.desired"}, path.name


def test_the_supervisor_never_loads_the_parsers() -> None:
    """pydantic and yaml belong to the child that compiles."""
    for layer in ("supervisor", "shell", "adapters"):
        for path in (PACKAGE / layer).rglob("*.py"):
            forbidden = {
                "appliance.core.model",
                "appliance.core.check",
                "appliance.core.document",
                "appliance.core.desired",
            }
            assert not imports(path) & forbidden, path.name


def test_nothing_that_the_supervisor_loads_loads_them_either() -> None:
    """14 MB for the life of the box."""
    way = {"appliance.supervisor.service": ""}
    queue = list(way)
    while queue:
        name = queue.pop()
        path = PACKAGE.parent / name.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        for each in imports(path, at_once=True) if path.exists() else ():
            assert each.split(".")[0] not in {"pydantic", "pydantic_core", "yaml"}, f"{each} by {name}, by {way[name]}"
            if each.startswith("appliance.") and each not in way:
                way[each] = name
                queue.append(each)
