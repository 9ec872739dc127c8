"""What each feature head costs, against a softmax-attention head of the same shape and against the trunk.

    python tests/benchmarks/heads.py [--dim 192] [--rounds 15]

Heads take the default backbone's channels, at 14 x 14, 32 x 32 and 64 x 64 tokens (inputs of 224, 512 and
1,024 pixels), batch 1, and run as they are exported, by ONNX Runtime with one thread. The softmax head is the
linear one with an N x N softmax as its core. Times are the process's own CPU time; every round runs all of
them in turn, and ratios are taken within a round. The exponent is the slope of log time over log tokens.
"Added" is what a head costs beyond the plain one, which projects and adds and does nothing else.
"""

import argparse
import copy
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import torch
from table import show
from torch import Tensor, nn

from edgecam_training.backbone import DEFAULT, make_backbone
from edgecam_training.export import Exported, ready_to_run, write_graph
from edgecam_training.heads import HEADS, HeadSize, LinearHead
from edgecam_training.model import STRIDE, Model

SIDES = (14, 32, 64)  # tokens along an edge
Timed = tuple[str, int]  # head, tokens


class Taps(nn.Module):
    """In a head's place: what a head would be given."""

    def forward(self, f16: Tensor, f32: Tensor) -> tuple[Tensor, Tensor]:
        return f16, f32


def trunk(dim: int) -> Exported:
    """The default network as it is exported, without its head. Its weights are trained: random ones let
    activations fade to denormal numbers, which are slow."""
    net = Exported(Model(2, backbone=DEFAULT, head="plain", dim=dim, dropout=0.0, pretrained=True))
    net.head = Taps()
    return net


def by_softmax(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Softmax attention, N x N weights a head."""
    return v @ (k.transpose(2, 3) @ q * q.shape[2] ** -0.5).softmax(dim=2)


def speaking(head: nn.Module) -> nn.Module:
    """A head with random weights where a training starts from zeros, ready to be exported."""
    for parameter in head.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.05)
    return ready_to_run(copy.deepcopy(head).eval().requires_grad_(False))


def session(net: nn.Module, given: dict[str, Tensor], folder: Path) -> Callable[[], object]:
    """Export, open with one thread, and return what runs it once."""
    path = folder / "net.onnx"
    write_graph(net, tuple(given.values()), path, inputs=list(given), outputs=None)
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    opened = ort.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    feed = {name: tensor.numpy() for name, tensor in given.items()}
    return lambda: opened.run(None, feed)


def cpu_ms(run: Callable[[], object], at_least: float) -> float:
    """CPU milliseconds of one run, over as many as take `at_least` seconds of it."""
    began, runs = time.process_time(), 0
    while runs == 0 or time.process_time() - began < at_least:
        run()
        runs += 1
    return 1000 * (time.process_time() - began) / runs


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dim", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    torch.manual_seed(0)
    channels = make_backbone(DEFAULT, pretrained=False).channels
    size = HeadSize(channels, asked.dim)
    heads = {name: make(size) for name, make in HEADS.items()}
    heads["softmax"] = LinearHead(channels, asked.dim, by_softmax)
    runs: dict[Timed, Callable[[], object]] = {}
    with tempfile.TemporaryDirectory() as folder:
        frames = torch.randint(0, 256, (1, SIDES[0] * STRIDE, SIDES[0] * STRIDE, 3), dtype=torch.uint8)
        runs["trunk", SIDES[0] ** 2] = session(trunk(asked.dim), {"frames": frames}, Path(folder))
        for side in SIDES:
            maps = {
                "f16": torch.randn(1, channels[0], side, side),
                "f32": torch.randn(1, channels[1], side // 2, side // 2),
            }
            for name, head in heads.items():
                runs[name, side**2] = session(speaking(head), maps, Path(folder))
    times: dict[Timed, list[float]] = {key: [] for key in runs}
    for _ in range(asked.rounds + 1):  # the first warms up
        for key, run in runs.items():
            times[key].append(cpu_ms(run, at_least=0.02))
    report({key: np.array(all_[1:]) for key, all_ in times.items()}, list(heads), asked.dim)


def report(times: dict[Timed, np.ndarray], heads: list[str], dim: int) -> None:
    few, many = SIDES[0] ** 2, SIDES[-1] ** 2
    body = times["trunk", few]
    rows, document = [], {}
    for name in heads:
        ms = {side**2: float(np.median(times[name, side**2])) for side in SIDES}
        exponent = float(np.polyfit(np.log(list(ms)), np.log(list(ms.values())), 1)[0])
        faster = times["softmax", many] / times[name, many]
        share = times[name, few] / body
        added = (times[name, few] - times["plain", few]) / body
        rows.append(
            (
                name,
                *(f"{value:.2f}" for value in ms.values()),
                f"{exponent:.2f}",
                spread(faster, " x"),
                spread(100 * share, " %"),
                spread(100 * added, " %"),
            )
        )
        document[name] = {
            "cpu_ms_by_tokens": {str(n): round(value, 4) for n, value in ms.items()},
            "exponent": round(exponent, 3),
            "times_faster_than_softmax": round(float(np.median(faster)), 2),
            "share_of_trunk": round(float(np.median(share)), 4),
            "added_share_of_trunk": round(float(np.median(added)), 4),
        }
    show(
        f"Heads of {dim} channels, CPU ms by tokens; median (quartiles). Softmax is at {many:,} tokens,\n"
        f"the trunk at {few}, where it takes {np.median(body):.2f} ms",
        ("head", *(f"{side**2:,}" for side in SIDES), "exponent", "softmax / it", "of the trunk", "added"),
        rows,
        {
            "benchmark": "heads",
            "dim_channels": dim,
            "trunk_cpu_ms": round(float(np.median(body)), 3),
            "heads": document,
        },
    )


def spread(values: np.ndarray, unit: str) -> str:
    low, middle, high = np.percentile(values, (25, 50, 75))
    return f"{middle:.1f}{unit} ({low:.1f}-{high:.1f})"


if __name__ == "__main__":
    main()
