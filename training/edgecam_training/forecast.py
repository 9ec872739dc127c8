"""How long tuning will take and how much memory, tried out on a copy before it starts."""

import copy
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from edgecam_engines.console import log
from edgecam_engines.files import write_json
from edgecam_training.batches import Batch, steps_per_epoch
from edgecam_training.begin import Photos, batches_in
from edgecam_training.distributed import Team
from edgecam_training.model import Model
from edgecam_training.optimizer import make_optimizer, unfreeze
from edgecam_training.options import Options
from edgecam_training.step import loss_of, mix, one_step, taken

TIMED: Final = 3  # steps, after one that warms up


class Forecast(NamedTuple):
    """What a trial found. Bytes and seconds, of one process."""

    seconds: float  # all steps and judgements that are left
    step: float  # of them a step
    learning: int  # parameters that learn
    parameters: int  # all
    weights: int  # bytes of the network and of its average
    optimizer: int  # bytes of gradients and of AdamW's two averages
    activations: int  # bytes that a step keeps for the way back
    peak: int  # bytes of the whole process so far, the trial included; 0 where nobody knows


def announce(
    model: Model,
    photos: Photos,
    val_frames: NDArray[np.uint8],
    options: Options,
    team: Team,
    *,
    epochs_done: int,
    run: Path,
    clock: Callable[[], float],
) -> None:
    """Try it out, say it and keep it in the run folder, unless all epochs are done."""
    if left := options.float_epochs - epochs_done:
        found = forecast(model, photos, val_frames, options, team, epochs=left, clock=clock)
        tell(found, options, epochs=left)
        write_json(run / "forecast.json", found._asdict())


def forecast(
    model: Model,
    photos: Photos,
    val_frames: NDArray[np.uint8],
    options: Options,
    team: Team,
    *,
    epochs: int,
    clock: Callable[[], float],
) -> Forecast:
    """Try a few steps on a copy of the network, with the batches that will come, and judge once.

    `epochs` is how many are left. The network, its average and all that follows stay as they were.
    """
    trial = copy.deepcopy(model)
    unfreeze(trial, 0, options)
    optimizer = make_optimizer(trial, options)
    with closing(_batches(photos, options, team.device)) as batches:
        first = next(batches)
        mixed = mix(trial, first, options, torch.Generator().manual_seed(0), clean=False)
        with counted(trial) as kept:
            loss_of(trial, taken(mixed, 0, of=options.accumulate)[0], options, seed=0)
        one_step(trial, optimizer, first, options, epoch=0, step=0)
        began = clock()
        for step, batch in enumerate(islice(batches, TIMED), start=1):
            one_step(trial, optimizer, batch, options, epoch=0, step=step)
        per_step = (clock() - began) / TIMED
    judging = torch.from_numpy(np.array(val_frames[: options.judge_batch])).to(team.device)
    began = clock()
    with torch.inference_mode():
        trial.eval()(judging).sum().item()
    to_judge = (clock() - began) * len(val_frames) / len(judging)
    steps = steps_per_epoch(len(photos.labels), options.batch)
    learning = [p for p in trial.parameters() if p.requires_grad]
    return Forecast(
        seconds=epochs * (steps * per_step + to_judge),
        step=per_step,
        learning=sum(p.numel() for p in learning),
        parameters=sum(p.numel() for p in trial.parameters()),
        weights=2 * _bytes([*trial.parameters(), *trial.buffers()]),
        optimizer=3 * _bytes(learning),
        activations=sum(kept.values()),
        peak=peak_of(team.device),
    )


def _batches(photos: Photos, options: Options, device: torch.device) -> Generator[Batch, None, None]:
    """Those of all epochs, one after the other, without end."""
    for epoch in count():
        for batch in batches_in(photos, options, epoch):
            yield Batch(*(tensor.to(device) for tensor in batch))


@contextmanager
def counted(net: nn.Module) -> Iterator[dict[int, int]]:
    """Bytes by address of all that a forward pass inside keeps for the way back, but for the net's own."""
    own = {t.untyped_storage().data_ptr() for t in (*net.parameters(), *net.buffers())}
    kept: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield kept


def peak_of(device: torch.device) -> int:
    """The most bytes that were taken so far: of the GPU, or else by this process (Linux; 0 elsewhere)."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), 0)


def tell(found: Forecast, options: Options, *, epochs: int) -> None:
    """Say it in words, and what to type to have it otherwise."""
    share = found.learning / found.parameters
    log.print(
        f"--tune {options.tune}: {found.learning:,} of {found.parameters:,} weights learn ({share:.2%}).\n"
        f"Time: about {spoken(found.seconds)} for {_some(epochs, 'epoch')} and then the writing of the run; "
        f"a step takes {1000 * found.step:.0f} ms, timed just now on {TIMED} of them.\n"
        f"Memory: {_peak(found)}{found.activations / 1e6:.1f} MB that a step keeps for the way back, "
        f"{found.optimizer / 1e6:.1f} MB of gradients and optimizer, "
        f"{found.weights / 1e6:.1f} MB of weights and their average.\n"
        f"{_otherwise(options)} Ctrl-C stops and saves.",
        markup=False,
    )


def spoken(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"


def _peak(found: Forecast) -> str:
    return f"about {found.peak / 1e9:.2f} GB at the peak, as in these steps; in it " if found.peak else ""


def _otherwise(options: Options) -> str:
    """What to type for less time and for less memory."""
    sooner = [f"--epochs {max(1, options.epochs // 2)}", f"--rehearse {options.rehearse // 2}"]
    lighter = [f"--batch {max(2, options.batch // 2)}"]
    if options.tune != "head":
        sooner.append("--tune head")
        lighter.append("--tune bias" if options.tune == "all" else "--tune head")
    if options.tune == "all" and not options.save_memory:
        lighter.append("--save-memory")
    return f"Sooner: {_either(sooner)}. With less memory: {_either(lighter)}."


def _either(ways: list[str]) -> str:
    return ways[0] if len(ways) == 1 else f"{', '.join(ways[:-1])} or {ways[-1]}"


def _some(n: int, what: str) -> str:
    return f"{n} {what}" if n == 1 else f"{n} {what}s"


def _bytes(tensors: list[Tensor] | list[nn.Parameter]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors)
