"""Damaged files, opened one after the other: python fuzz_kit.py KIND SEED FIRST LAST FOLDER

Each case is drawn with its number, so that one can be repeated alone. Before each its number is printed,
after it what became of it; a crash or a hang ends the process, and the last number says where. FOLDER is a
place of its own; nothing may be written outside of FOLDER/in.
"""

import json
import random
import resource
import shutil
import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np

from edge.loop_kit import make_bundle
from edgecam_calibration.run import open_run
from edgecam_engines.backends import Model, open_engine
from edgecam_engines.bundle import MANIFEST, _digest, open_bundle
from edgecam_engines.engine import Engine
from edgecam_engines.errors import EdgecamError
from edgecam_engines.head import load_head
from engines.trt_models import small_model, write_model

SECONDS = 20  # for one case, on a busy machine
MEMORY = 6 << 30  # bytes of address space


def damaged(content: bytes, rng: random.Random) -> bytes:
    """Flipped bits, lost ends, parts twice, elsewhere or overwritten: one to four of them."""
    made = bytearray(content)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        if not made:
            break
        a, b = sorted(rng.randrange(len(made) + 1) for _ in range(2))
        b = min(b, a + rng.choice([1, 4, 64, len(made)]))
        how = rng.randrange(9)
        if how <= 4:
            made[min(a, len(made) - 1)] ^= 1 << rng.randrange(8)
        elif how == 5:
            del made[a:b]
        elif how == 6:
            made[a:a] = made[a:b]
        elif how == 7:
            made[a:b] = rng.choice([b"\xff", b"\x00", b"\x80", b"[", b"9"]) * (b - a)
        else:
            made = made[: rng.randrange(len(made))]
    return bytes(made)


ODD: list[Callable[[], Any]] = [
    lambda: None,
    lambda: True,
    lambda: -1,
    lambda: 0,
    lambda: 10**18,
    lambda: 10**4000,
    lambda: 1e308,
    lambda: "",
    lambda: "../../x",
    lambda: "/etc/passwd",
    lambda: "a\x00b",
    lambda: "\ud800",
    lambda: "x" * 100_000,
    list,
    dict,
    lambda: [[]] * 1000,
    lambda: {"": {"": []}},
    lambda: ["a"] * 3,
    lambda: [1, 2],
    lambda: [64.0, 64.0],
    lambda: json.loads("[" * 400 + "]" * 400),
]


def changed(document: Any, rng: random.Random) -> Any:
    """The document with one to three of its values replaced, lost or doubled, at any depth."""
    for _ in range(rng.randint(1, 3)):
        place = document
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = rng.choice(keys)
            if isinstance(place[key], (dict, list)) and place[key] and rng.random() < 0.7:
                place = place[key]
                continue
            if rng.random() < 0.2:
                del place[key]
            elif rng.random() < 0.1 and isinstance(place, dict):
                place["more"] = rng.choice(ODD)()
            else:
                place[key] = rng.choice(ODD)()
            break
    return document


def run_once(engine: Engine) -> None:
    with closing(engine):
        if engine.input_hw[0] * engine.input_hw[1] <= 1 << 20:
            engine.infer(np.zeros((2, *engine.input_hw, 3), np.uint8))


def use_bundle(folder: Path) -> None:
    """All that a command does with one."""
    bundle = open_bundle(folder)
    head = bundle.head()
    run_once(bundle.engine())
    assert bundle.input_hw
    head.logits(np.zeros((1, bundle.manifest.feature_dhw[0], 2, 2), np.float32))


def bundle_case(work: Path, rng: random.Random) -> None:
    folder = make_bundle(work / "x.edgecam")
    file = folder / rng.choice([MANIFEST, "heads/default.safetensors", "models/fixed.json"])
    file.write_bytes(damaged(file.read_bytes(), rng))
    use_bundle(folder)


def manifest_case(work: Path, rng: random.Random) -> None:
    """Changed and signed again, as somebody would who means it."""
    folder = make_bundle(work / "x.edgecam")
    document = changed(json.loads((folder / MANIFEST).read_text()), rng)
    document.pop("sha256", None)
    try:
        text = json.dumps({**document, "sha256": _digest(document)})
    except (ValueError, UnicodeEncodeError):  # a lone surrogate has no bytes to sign
        text = json.dumps({**document, "sha256": ""}) if "x" * 9 not in document else "{}"
    (folder / MANIFEST).write_text(text, encoding="utf-8", errors="surrogatepass")
    use_bundle(folder)


def signed_case(work: Path, rng: random.Random) -> None:
    """Files damaged before they were listed: the hashes are right."""
    folder = make_bundle(work / "x.edgecam")
    document = json.loads((folder / MANIFEST).read_text())
    name = rng.choice(["heads/default.safetensors", "models/fixed.json"])
    content = damaged((folder / name).read_bytes(), rng)
    if name.endswith(".json") and rng.random() < 0.5:
        content = json.dumps(changed(json.loads((folder / name).read_text()), rng)).encode()
    (folder / name).write_bytes(content)
    import hashlib

    document["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    document.pop("sha256")
    (folder / MANIFEST).write_text(json.dumps({**document, "sha256": _digest(document)}))
    use_bundle(folder)


def onnx_case(work: Path, rng: random.Random) -> None:
    path = work / "m.onnx"
    path.write_bytes(damaged(small_model().SerializeToString(), rng))
    run_once(open_engine("onnxruntime", Model(path, "fp32", work)))


def quantized_case(work: Path, rng: random.Random) -> None:
    path = work / "m.onnx"
    path.write_bytes(damaged((work.parent / "made" / "int8.onnx").read_bytes(), rng))
    run_once(open_engine("onnxruntime", Model(path, "int8", work)))


def graph_case(work: Path, rng: random.Random) -> None:
    """Sound protobuf, unsound graph: edges to other nodes or to itself, odd sizes, types and attributes."""
    model = small_model(last=rng.choice(["Relu", "Softmax", "Identity"]))
    nodes = model.graph.node
    for _ in range(rng.randint(1, 3)):
        node = rng.choice(nodes)
        names = [name for other in nodes for name in (*other.input, *other.output)]
        how = rng.randrange(7)
        if how == 0:
            node.input[rng.randrange(len(node.input))] = rng.choice(names)
        elif how == 1:
            node.output[0] = rng.choice(names)
        elif how == 2:
            tensor = rng.choice(model.graph.initializer)
            tensor.dims[:] = [rng.choice([0, -1, 1, 3, 2**31, 2**62]) for _ in range(rng.randint(0, 5))]
        elif how == 3:
            rng.choice(model.graph.initializer).data_type = rng.randrange(25)
        elif how == 4:
            for attribute in node.attribute:
                attribute.ints[:] = [
                    rng.choice([-(2**40), -1, 0, 1, 7, 2**31, 2**62]) for _ in attribute.ints
                ]
        elif how == 5:
            node.op_type = rng.choice(
                ["Conv", "Gemm", "Reshape", "Resize", "If", "Loop", "Gather", "Tile", "Pad"]
            )
        else:
            dims = rng.choice([model.graph.input[0], model.graph.output[0]]).type.tensor_type.shape.dim
            rng.choice(dims).dim_value = rng.choice([0, -1, 1, 5, 2**31, 2**62])
    path = work / "m.onnx"
    path.write_bytes(model.SerializeToString())
    run_once(open_engine("onnxruntime", Model(path, "fp32", work)))


def head_case(work: Path, rng: random.Random) -> None:
    path = work / "h.safetensors"
    content = (make_bundle(work / "x.edgecam") / "heads" / "default.safetensors").read_bytes()
    if rng.random() < 0.5:
        length = int.from_bytes(content[:8], "little")
        header = json.dumps(changed(json.loads(content[8 : 8 + length]), rng)).encode(errors="surrogatepass")
        content = len(header).to_bytes(8, "little") + header + content[8 + length :]
    path.write_bytes(content if rng.random() < 0.3 else damaged(content, rng))
    load_head(path).logits(np.zeros((1, 3, 2, 2), np.float32))


def run_case(work: Path, rng: random.Random) -> None:
    run = work / "run"
    shutil.copytree(work.parent / "made" / "run", run)
    file = run / rng.choice(["split.json", "val_logits.npy", "head.safetensors"])
    if file.suffix == ".json" and rng.random() < 0.7:
        file.write_text(json.dumps(changed(json.loads(file.read_text()), rng)))
    else:
        file.write_bytes(damaged(file.read_bytes(), rng))
    open_run(run)


CASES: dict[str, Callable[[Path, random.Random], None]] = {
    "bundle": bundle_case,
    "manifest": manifest_case,
    "signed": signed_case,
    "onnx": onnx_case,
    "quantized": quantized_case,
    "graph": graph_case,
    "head": head_case,
    "run": run_case,
}


def prepare(made: Path) -> None:
    """What the cases damage."""
    if made.exists():
        return
    made.mkdir()
    write_model(made, "int8")
    run = made / "run"
    bundle = make_bundle(made / "x.edgecam")
    run.mkdir()
    shutil.copyfile(bundle / "heads" / "default.safetensors", run / "head.safetensors")
    (run / "model.onnx").write_bytes(small_model().SerializeToString())
    entries = [{"path": f"{k}.jpg", "label": k % 3} for k in range(6)]
    (run / "split.json").write_text(json.dumps({"train": entries, "val": entries[:4]}))
    np.save(run / "val_logits.npy", np.eye(4, 3, dtype=np.float32))


def main() -> None:
    kind, seed, first, last, folder = sys.argv[1:]
    place = Path(folder)
    prepare(place / "made")
    before = sorted(place.rglob("*"))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    warnings.simplefilter("error")
    for number in range(int(first), int(last)):
        print(number, flush=True)
        signal.alarm(SECONDS)  # ends the process, native code and all
        work = place / "in"
        work.mkdir()
        try:
            CASES[kind](work, random.Random(f"{kind} {seed} {number}"))
            told = "opened"
        except EdgecamError as error:
            told = type(error).__name__ if str(error).strip() else "an error without words"
        signal.alarm(0)
        shutil.rmtree(work)
        if sorted(place.rglob("*")) != before:
            told = "wrote outside"
        print(told, flush=True)


if __name__ == "__main__":
    main()
