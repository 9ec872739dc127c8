"""Nothing that is read can run code: no pickle and its kin, no eval, weights and arrays alone."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("edge", "engines", "calibration", "training")
# What loads objects by running them.
LOADERS = {"pickle", "_pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jsonpickle"}
# checkpoint.py names the error that torch raises for weights that are none.
ERRORS = {"PickleError", "UnpicklingError"}


def complaints(source: str) -> list[str]:
    """Every call or import in a module that could run what a file says."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in LOADERS:
            found += [f"{node.module}.{name.name}" for name in node.names if name.name not in ERRORS]
        if isinstance(node, ast.Import):
            names = {name.name.split(".")[0] for name in node.names}
            found += sorted(names & (LOADERS - {"pickle"}))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in LOADERS:
            found += [f"{node.value.id}.{node.attr}"] if node.attr not in ERRORS else []
        if isinstance(node, ast.Call):
            found += _call(ast.unparse(node.func), {k.arg: ast.unparse(k.value) for k in node.keywords})
    return found


def _call(name: str, given: dict[str | None, str]) -> list[str]:
    if name == "torch.load" and given.get("weights_only") != "True":
        return ["torch.load without weights_only=True"]
    if given.get("allow_pickle", "False") != "False":
        return [f"{name} with allow_pickle"]
    if name in ("eval", "exec", "compile", "yaml.load", "torch.jit.load", "torch.package.PackageImporter"):
        return [name]
    return []


def test_nothing_of_ours_reads_pickles() -> None:
    found = {}
    for floor in FLOORS:
        for file in (ROOT / floor).rglob("*.py"):
            if bad := complaints(file.read_text(encoding="utf-8")):
                found[str(file.relative_to(ROOT))] = bad
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle\npickle.load(file)",
        "from pickle import loads",
        "import joblib",
        "import torch\ntorch.load(path)",
        "import torch\ntorch.load(path, weights_only=False)",
        "import numpy as np\nnp.load(path, allow_pickle=True)",
        "eval(text)",
    ],
)
def test_each_of_them_would_be_found(source: str) -> None:
    assert complaints(source)


def test_what_is_safe_is_not_found() -> None:
    assert not complaints(
        "import pickle, torch\nimport numpy as np\n"
        "try:\n    torch.load(path, weights_only=True)\nexcept pickle.PickleError:\n    np.load(path)"
    )
