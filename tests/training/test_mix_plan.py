"""Which mix when: what is typed, how often each comes, and the trainer's use of it."""

from collections import Counter

import pytest
import torch

from edgecam_engines.errors import TrainingError
from edgecam_training.batches import Batch
from edgecam_training.mixing import MIXES, parse_mixes, pick
from edgecam_training.model import Model
from edgecam_training.optimizer import make_optimizer
from edgecam_training.options import Options
from edgecam_training.step import mix, one_step
from training.mix_kit import noise, rng_of


def test_names_are_read_with_their_shares() -> None:
    assert parse_mixes("cutmix:0.3, fmix:0.2", 0.5) == {"cutmix": 0.3, "fmix": 0.2}
    assert parse_mixes("cutmix", 0.5) == {"cutmix": 0.5}
    assert parse_mixes("cutmix,mixup", 0.5) == {"cutmix": 0.25, "mixup": 0.25}
    assert parse_mixes("cutmix:0.1,mixup,gmix", 0.5) == {"cutmix": 0.1, "mixup": 0.25, "gmix": 0.25}
    assert parse_mixes("none", 0.5) == {}


def test_every_mix_at_once_may_fill_all_steps() -> None:
    assert sum(parse_mixes(",".join(MIXES), 1.0).values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("smoothie", r"no mix 'smoothie'.*none, cutmix, mixup"),
        ("", "no mix ''"),
        ("cutmix,none", "no mix 'none'|'none'"),
        ("cutmix,cutmix", "twice"),
        ("cutmix:often", "'often' is no share"),
        ("cutmix:", "'' is no share"),
        ("cutmix:-0.1", "'-0.1' is no share"),
        ("cutmix:nan", "'nan' is no share"),
        ("cutmix:0.7,fmix:0.5", "120% of the steps"),
        ("cutmix:0.7,fmix", r"120% of the steps.*--mix-probability is 0.5"),
    ],
)
def test_what_cannot_be_read_is_answered_with_what_can(text: str, told: str) -> None:
    with pytest.raises(TrainingError, match=told) as caught:
        parse_mixes(text, 0.5)
    assert "--mix cutmix:0.3,fmix:0.2" in str(caught.value)


def test_each_mix_comes_as_often_as_its_share() -> None:
    rng = rng_of(0)
    counts = Counter(pick({"cutmix": 0.3, "fmix": 0.2}, rng) for _ in range(4000))
    assert counts["cutmix"] / 4000 == pytest.approx(0.3, abs=0.03)
    assert counts["fmix"] / 4000 == pytest.approx(0.2, abs=0.03)
    assert counts[None] / 4000 == pytest.approx(0.5, abs=0.03)


def test_nothing_is_picked_from_nothing_and_always_from_a_whole() -> None:
    rng = rng_of(0)
    assert {pick({}, rng) for _ in range(50)} == {None}
    assert None not in {pick({"cutmix": 0.5, "fmix": 0.5}, rng) for _ in range(500)}


def small_model() -> Model:
    torch.manual_seed(0)
    model = Model(3, backbone="mobilenet_v3_small", head="plain", dim=64, dropout=0.2, pretrained=False)
    torch.nn.init.normal_(model.classify.weight)
    return model


def a_batch() -> Batch:
    return Batch(noise(4, 64, 64, 0), torch.arange(4) % 3)


def options_for(mixes: str, **changes: object) -> Options:
    return Options(
        mix=mixes,
        mix_probability=1.0,
        clean_epochs=0,
        epochs=3,
        backbone="mobilenet_v3_small",
        head="plain",
        dim=64,
        **changes,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("name", MIXES)
def test_a_step_of_every_mix_follows_from_seed_epoch_and_step_alone(name: str) -> None:
    after = []
    for ambient in (1, 2):
        model = small_model()
        options = options_for(name, mix_per_sample=True, er=0.0, ecr=0.0)
        optimizer = make_optimizer(model, options)
        torch.manual_seed(ambient)
        loss = one_step(model, optimizer, a_batch(), options, epoch=0, step=5)
        after.append((loss, model.state_dict()))
    assert after[0][0] == after[1][0]
    assert all(torch.equal(tensor, after[1][1][key]) for key, tensor in after[0][1].items())


def test_the_trainer_hands_each_mix_what_it_needs() -> None:
    model, batch = small_model(), a_batch()
    cut = mix(model, batch, options_for("cutout"), rng_of(0), clean=False)
    assert cut.mask is not None
    blank = cut.images[cut.mask.expand(4, -1, -1) == 0]
    # ImageNet's mean colour is (123.675, 116.28, 103.53) in RGB, and the batch is BGR.
    assert blank.unique(dim=0).tolist() == [[104, 116, 124]]
    taken = mix(model, batch, options_for("attentive-cutmix"), rng_of(0), clean=False)
    assert taken.mask is not None
    assert float(taken.second_share[0]) == pytest.approx(6 / 49, abs=0.02)
    assert mix(model, batch, options_for("cutout"), rng_of(0), clean=True).mask is None


def test_alpha_is_the_authors_unless_it_is_given() -> None:
    """A large alpha draws halves: MixUp's share is then 0.5."""
    model, batch = small_model(), a_batch()
    near = [
        float(mix(model, batch, options_for("mixup", mix_alpha=1e6), rng_of(s), clean=False).first_share[0])
        for s in range(20)
    ]
    assert max(abs(share - 0.5) for share in near) < 0.01
    free = [
        float(mix(model, batch, options_for("mixup"), rng_of(s), clean=False).first_share[0])
        for s in range(20)
    ]
    assert max(free) - min(free) > 0.5
