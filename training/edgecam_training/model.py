"""The whole network: camera bytes in, features, logits and class activation maps out."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgecam_calibration.shared_map import Shared
from edgecam_engines.errors import TrainingError
from edgecam_training.backbone import make_backbone
from edgecam_training.heads import HEADS, HeadSize

STRIDE = 16  # input pixels a map cell


class Model(nn.Module):
    """Backbone, feature head and a linear class head.

    Takes uint8 (n, h, w, 3) BGR, exactly what the engine will take; h and w are multiples of 32.
    """

    def __init__(
        self,
        classes: int,
        *,
        backbone: str,
        head: str,
        dim: int,
        dropout: float,
        pretrained: bool,
        experts: tuple[int, int] = (4, 2),  # of the head "moe": how many, and how many of them a token
    ) -> None:
        super().__init__()
        if head not in HEADS:
            raise TrainingError(f"There is no head {head!r}. Choose one of: {', '.join(HEADS)}.")
        self.backbone = make_backbone(backbone, pretrained=pretrained)
        self.head = HEADS[head](HeadSize(self.backbone.channels, dim, *experts))
        self.classify = ClassHead(dim, classes)
        self.dropout = dropout

    def forward(self, frames: Tensor) -> Tensor:
        """uint8 (n, h, w, 3) -> features (n, d, h/16, w/16)."""
        pixels = frames.flip(3).permute(0, 3, 1, 2).float()  # BGR -> RGB; the view is channels_last
        return self.head(*self.backbone(pixels))

    def logits(self, features: Tensor) -> Tensor:
        """(n, d, gh, gw) -> (n, classes)."""
        pooled = F.dropout(features.mean(dim=(2, 3)), self.dropout, self.training)
        return self.classify(pooled)

    def cams(self, features: Tensor) -> Tensor:
        """(n, d, gh, gw) -> (n, classes, gh, gw), with mean(cams) + bias == logits (in eval mode)."""
        return torch.einsum("kd,ndhw->nkhw", self.classify.effective()[0], features)


class ClassHead(nn.Linear):
    """A linear classifier whose rows and biases sum to zero over the classes, and that starts at zero.

    A softmax ignores what all classes have in common, so training never touches it: it would stay in the
    maps as whatever chance put there, and with few classes outweigh the evidence. Taken out, a map holds
    only what tells its class from the others, until `share` puts something chosen in that place.
    (classes, d) weight, (classes,) bias.
    """

    shift: Tensor
    shared_row: Tensor
    shared_bias: Tensor

    def __init__(self, dim: int, classes: int) -> None:
        super().__init__(dim, classes)
        self.register_buffer("shift", torch.zeros(classes), persistent=False)
        self.register_buffer("shared_row", torch.zeros(dim), persistent=False)
        self.register_buffer("shared_bias", torch.zeros(()), persistent=False)

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    @torch.no_grad()
    def expect(self, expected: Tensor, *, shown: Tensor) -> None:
        """Train on classes in the shares `shown`, answer for a world with the shares `expected`.

        Both are (classes,) and positive. Source: logit adjustment, Menon et al., arXiv:2007.07314.
        """
        self.shift.copy_(torch.log(shown / shown.sum()) - torch.log(expected / expected.sum()))
        self.bias.copy_(-self.shift)  # so that training starts without a preference

    @torch.no_grad()
    def share(self, shared: Shared) -> None:
        """Add one row and one number to every class: no probability changes, every map gets the same more."""
        self.shared_row.copy_(torch.from_numpy(shared.row))
        self.shared_bias.fill_(shared.bias)

    def effective(self) -> tuple[Tensor, Tensor]:
        """The weight and bias that classify and draw maps."""
        weight = self.weight - self.weight.mean(dim=0) + self.shared_row
        return weight, self.bias - self.bias.mean() + self.shared_bias

    def forward(self, pooled: Tensor) -> Tensor:
        logits = F.linear(pooled, *self.effective())
        return logits + self.shift if self.training else logits


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Weights from a safetensors file. Raises TrainingError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise TrainingError(f"{path} holds no weights that can be read: {error}.") from error
