"""What AutoMix would add to a training step: the measurement behind leaving it out.

    OMP_NUM_THREADS=1 python tests/benchmarks/automix.py [--rounds 5] [--size 160] [--batch 32]

AutoMix (arXiv:2103.13027) learns its masks. A step then is: features of the clean batch by an averaged
teacher; a mask head, a cross attention between the two images' features that knows the share; the loss of
the clean and of the mixed batch in the network; and the loss of the mixed batch through the frozen teacher,
whose gradient trains the mask head. Here is that step beside a plain one and one with CutMix, taking turns,
in processor's time. The mask head is the real one in size and shape; nothing here is used for training.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from table import show
from torch import Tensor, nn

from edgecam_training.allocator import keep_freed_memory
from edgecam_training.ema import Ema
from edgecam_training.mixing import MIXES, Given
from edgecam_training.model import Model
from edgecam_training.options import Options

CLASSES = 43


class MaskHead(nn.Module):
    """Cross attention from an image's features to its partner's, the share appended: mask logits."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.key = nn.Conv2d(channels + 1, channels // 2, 1)
        self.value = nn.Conv2d(channels + 1, 1, 1)

    def forward(self, features: Tensor, partners: Tensor, share: Tensor) -> Tensor:
        n, _, gh, gw = features.shape
        level = share.expand(n, 1, gh, gw)
        own, other = torch.cat([features, level], 1), torch.cat([partners, 1 - level], 1)
        query, key = self.key(own).flatten(2), self.key(other).flatten(2)  # (n, c/2, gh gw)
        tied = (query.transpose(1, 2) @ key / query.shape[1] ** 0.5).softmax(dim=2)  # (n, N, N)
        return (tied @ self.value(other).flatten(2).transpose(1, 2)).transpose(1, 2).reshape(n, 1, gh, gw)


class Bench:
    """A network, its teacher and a mask head on random photos."""

    def __init__(self, size: int, batch: int) -> None:
        torch.manual_seed(0)
        options = Options()
        self.model = Model(
            CLASSES,
            backbone=options.backbone,
            head=options.head,
            dim=options.dim,
            dropout=0.2,
            pretrained=True,
        ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model.train()
        self.ema = Ema(self.model, 0.999)
        self.masks = MaskHead(options.dim)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), fused=True)
        self.mask_optimizer = torch.optim.AdamW(self.masks.parameters(), fused=True)
        self.rng = torch.Generator().manual_seed(0)
        shape = (batch, size, size, 3)
        self.frames = torch.randint(0, 256, shape, dtype=torch.uint8, generator=self.rng)
        self.labels = torch.arange(batch) % CLASSES

    def plain(self) -> None:
        self._learn(self._loss(self.model, self.frames, self.labels).mean())

    def cutmix(self) -> None:
        mixed = MIXES["cutmix"].run(self.frames, self.labels, Given(), self.rng)
        logits = self.model.logits(self.model(mixed.images))
        first, second = (F.cross_entropy(logits, y, reduction="none") for y in (mixed.first, mixed.second))
        self._learn((mixed.first_share * first + mixed.second_share * second).mean())

    def automix(self) -> None:
        teacher, share = self.ema.model, torch.rand((), generator=self.rng)
        partner = torch.randperm(len(self.labels), generator=self.rng)
        with torch.no_grad():
            features = teacher(self.frames)
        logits = self.masks(features, features[partner], share)
        mask = F.interpolate(logits, size=self.frames.shape[1:3], mode="bilinear").sigmoid()[:, 0, :, :, None]
        pixels = self.frames.float()
        mixed = mask * pixels + (1 - mask) * pixels[partner]
        # The mask head learns from the frozen teacher's loss of what it mixed, and to keep the share.
        frozen = self._mixed_loss(teacher, mixed, partner, share)
        gap = (mask.mean(dim=(1, 2, 3)) - share).abs().mean()
        self.mask_optimizer.zero_grad()
        (frozen + gap).backward()
        self.mask_optimizer.step()
        clean = self._loss(self.model, self.frames, self.labels).mean()
        self._learn(clean + self._mixed_loss(self.model, mixed.detach(), partner, share))
        self.ema.update(self.model)

    def _mixed_loss(self, model: Model, frames: Tensor, partner: Tensor, share: Tensor) -> Tensor:
        logits = model.logits(model(frames))
        own, other = (F.cross_entropy(logits, y) for y in (self.labels, self.labels[partner]))
        return share * own + (1 - share) * other

    def _loss(self, model: Model, frames: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(model.logits(model(frames)), labels, reduction="none")

    def _learn(self, loss: Tensor) -> None:
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()


def seconds(step: Callable[[], None]) -> float:
    """The processor's seconds for one call."""
    began = time.process_time()
    step()
    return time.process_time() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--batch", type=int, default=32)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    bench = Bench(asked.size, asked.batch)
    steps = {"plain": bench.plain, "cutmix": bench.cutmix, "automix": bench.automix}
    rounds = [{name: seconds(step) for name, step in steps.items()} for _ in range(asked.rounds + 1)][1:]
    rows, document = [], {}
    for name in steps:
        ratio = [spent[name] / spent["plain"] for spent in rounds]
        low, middle, high = np.quantile(ratio, [0, 0.5, 1])
        spent_ms = 1000 * float(np.median([spent[name] for spent in rounds]))
        rows.append((name, f"{spent_ms:.0f}", f"{middle:.2f}", f"{low:.2f} to {high:.2f}"))
        document[name] = round(float(middle), 3)
    show(
        f"A training step of {asked.batch} photos at {asked.size} px",
        ("step", "processor's ms", "times plain", "least to most"),
        rows,
        {"benchmark": "automix", "rounds": asked.rounds, "times_plain": document},
    )


if __name__ == "__main__":
    main()
