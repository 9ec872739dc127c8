"""Two real processes that train together, and the same work done by one: what the tests compare."""

import multiprocessing
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest
import torch
from torch import Tensor, nn

import edgecam_training.train as train_module
from edgecam_training.batches import Batch
from edgecam_training.distributed import ALONE, Team, joined
from edgecam_training.model import Model
from edgecam_training.optimizer import unfreeze
from edgecam_training.options import Options
from edgecam_training.step import Learner, one_step
from edgecam_training.train import train

OPTIONS: Final = Options(
    input_height=64,
    input_width=64,
    backbone="mobilenet_v3_small",
    pretrained=False,
    dim=64,
    epochs=2,
    batch=8,
    head_epochs=1,
    last_epochs=0,
    dropout=0.0,  # its draws are not those of the whole batch
    clean_epochs=0,
    mix_probability=1.0,
    er=0.0,  # SEAM's share of a part is rounded up, so uneven parts look at a photo more than the batch
    ecr=0.0,
)


class Case(NamedTuple):
    """Some steps on batches of n photos."""

    n: int
    changes: dict[str, Any]
    norms_learn: bool = False
    tolerance: float = 1e-6  # SEAM's maps are hardened: a last bit can move a pixel to another class


CASES: Final = {
    "equal parts": Case(8, {"l1": 1e-4, "l2": 1e-3}),
    "unequal parts": Case(7, {}),
    "a process without a photo": Case(1, {}),
    "accumulated": Case(8, {"accumulate": 2}),
    "accumulated in unequal parts": Case(5, {"accumulate": 3}),
    "with activations computed again": Case(8, {"save_memory": True}),
    "with SEAM": Case(16, {"er": 0.1, "ecr": 0.1, "accumulate": 2}, tolerance=1e-4),
    "norms that learn": Case(16, {}, norms_learn=True),
}


class Done(NamedTuple):
    losses: list[float]
    state: dict[str, Tensor]


def a_batch(n: int, seed: int) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    return Batch(torch.randint(0, 256, (n, 64, 64, 3), dtype=torch.uint8, generator=rng), torch.arange(n) % 3)


def made(options: Options) -> Model:
    torch.manual_seed(0)
    model = Model(3, backbone=options.backbone, head="linear", dim=64, dropout=0.0, pretrained=False)
    nn.init.normal_(model.classify.weight, std=0.1)  # at zero all maps agree
    model.backbone.save_memory = options.save_memory
    return model.train()


def norms_kept(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def steps_of(case: Case, team: Team, *, steps: int = 2) -> Done:
    """Plain gradient descent, so that weights differ as little as gradients do."""
    options = replace(OPTIONS, **case.changes)
    model = made(options)
    if not case.norms_learn:
        norms_kept(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    learner = team.together(Learner(model, options))
    losses = []
    for step in range(steps):
        batch = a_batch(case.n, step)
        own = [team.whole(tensor[team.rank :: team.size], case.n) for tensor in batch]
        losses.append(
            one_step(model, optimizer, Batch(*own), options, epoch=0, step=step, team=team, learner=learner)
        )
    return Done(losses, {name: tensor.clone() for name, tensor in model.state_dict().items()})


def whole_run(photos: Path, run: Path, *, norms_learn: bool) -> None:
    """train() as it is, but for the export, and for norms that keep their statistics if asked to."""

    def thawed(model: Model, epoch: int, options: Options) -> None:
        unfreeze(model, epoch, options)
        if not norms_learn:
            norms_kept(model)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgecam_training.finish.finish", lambda *_: None)
        patch.setattr(train_module, "unfreeze", thawed)
        train(photos, run, OPTIONS)


RUNS: Final = {"norms kept": False, "norms learn": True}


def everything(photos: Path, folder: Path, team: Team = ALONE) -> dict[str, Done]:
    return {name: steps_of(case, team) for name, case in CASES.items()}


def two_processes(photos: Path, folder: Path) -> None:
    """Do everything in a team of two; each leaves what it got in folder/RANK.pt."""
    context = multiprocessing.get_context("spawn")
    ports = [free_port() for _ in range(1 + len(RUNS))]
    workers = [context.Process(target=_worker, args=(rank, ports, photos, folder)) for rank in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _worker(rank: int, ports: list[int], photos: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    os.environ["MASTER_PORT"] = str(ports[0])
    with joined() as team:
        torch.save(
            {name: tuple(done) for name, done in everything(photos, folder, team).items()},
            folder / f"{rank}.pt",
        )
    for port, (name, norms_learn) in zip(ports[1:], RUNS.items(), strict=True):
        os.environ["MASTER_PORT"] = str(port)
        whole_run(photos, folder / name, norms_learn=norms_learn)
