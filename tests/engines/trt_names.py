"""Every name of TensorRT that the package uses, read from its source: `trt.X.Y` and what is asked of objects.

A name counts as guarded where the function that uses it, or one that it is in, asks for it with hasattr or
getattr first.
"""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

# What variables of the package hold, by the name they have everywhere.
HOLDS: Final = {
    "trt": "",
    "builder": "Builder",
    "network": "INetworkDefinition",
    "parser": "OnnxParser",
    "config": "IBuilderConfig",
    "profile": "IOptimizationProfile",
    "engine": "ICudaEngine",
    "runtime": "Runtime",
    "context": "IExecutionContext",
    "inspector": "EngineInspector",
    "layer": "ILayer",
    "tensor": "ITensor",
    "error": "ParserError",
}
# Members of Python's own exceptions and of ours, where "error" is one of those.
_PYTHONS: Final = {"ParserError.strerror", "ParserError.errno"}


class Use(NamedTuple):
    """One place where a name is used."""

    name: str  # "BuilderFlag.FP16"
    guarded: bool
    where: str  # file and line


def uses_in(files: list[Path]) -> list[Use]:
    return [use for file in files for use in uses_of(file.read_text(encoding="utf-8"), file.name)]


def uses_of(source: str, file: str) -> list[Use]:
    """What one module uses."""
    return list(_uses(ast.parse(source), frozenset(), file))


def _uses(node: ast.AST, asked: frozenset[str], file: str) -> Iterator[Use]:
    """Uses below a node, `asked` being what the functions around it asked for."""
    if isinstance(node, ast.FunctionDef):
        asked |= {name for below in ast.walk(node) if (name := _asked(below))}
    if isinstance(node, ast.Call) and (name := _called_by_name(node)):
        yield Use(name, False, f"{file}:{node.lineno}")
    name = name_of(node)
    if name and name not in _PYTHONS:
        yield Use(name, name in asked, f"{file}:{getattr(node, 'lineno', 0)}")
    for child in ast.iter_child_nodes(node):
        yield from _uses(child, asked, file)


def _asked(node: ast.AST) -> str:
    """What `hasattr(trt.BuilderFlag, "FP16")` or a getattr with a default asks for."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        return ""
    if (node.func.id, len(node.args)) not in {("hasattr", 2), ("getattr", 3)}:
        return ""
    owner, name = node.args[0], node.args[1]
    if not isinstance(name, ast.Constant):
        return ""
    if isinstance(owner, ast.Name) and owner.id in HOLDS:
        return f"{HOLDS[owner.id]}.{name.value}".lstrip(".")
    return f"{before}.{name.value}" if (before := name_of(owner)) else ""


def _called_by_name(node: ast.Call) -> str:
    """The runner's `self._do(context, "execute_async_v3", ...)`."""
    if isinstance(node.func, ast.Attribute) and node.func.attr == "_do" and len(node.args) > 1:
        name = node.args[1]
        return f"IExecutionContext.{name.value}" if isinstance(name, ast.Constant) else ""
    return ""


def name_of(node: ast.AST) -> str:
    """`trt.BuilderFlag.FP16`, also with self before it, as "BuilderFlag.FP16"; "" for anything else."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.insert(0, node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    parts.insert(0, node.id)
    if parts[0] == "self" and len(parts) > 1:
        parts = [parts[1].lstrip("_"), *parts[2:]]
    first = HOLDS.get(parts[0])
    if first is None or len(parts) < 2 or parts[1].startswith("__"):
        return ""
    # What a method or a property returns is not looked into.
    return ".".join(parts[1:3]) if not first else f"{first}.{parts[1]}"
