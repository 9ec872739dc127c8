"""Mixed precision: what INT8 harms is found, and the least that helps stays in float, really in float."""

import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

from calibration.mixed_kit import HW, U8, Rig, frames, head, network, rig
from conftest import Models
from edgecam_calibration.mixed import sensitivity
from edgecam_calibration.mixed.cover import STEPS, cost_of, cover
from edgecam_calibration.mixed.plan import Plan
from edgecam_calibration.mixed.search import plan_for, search
from edgecam_calibration.mixed.sensitivity import Harm, measure
from edgecam_calibration.mixed.units import block_of, quantized_nodes, segments_of
from edgecam_calibration.mixed.write import open_chain
from edgecam_calibration.mixed.yardstick import Likeness, Target, Yardstick
from edgecam_calibration.quantize import TENSORRT, Profile, cpu_profile
from edgecam_calibration.run import Run
from edgecam_engines.engine import Features, Frames
from edgecam_engines.onnxruntime import OnnxRuntimeEngine
from edgecam_engines.tensorrt.build import CPU_TARGET, build_plan

NAMES = [f"body.{k}.0" for k in range(5)]
RUINED = 2
BATCHES = [frames(4, seed=s) for s in (2, 3)]


@pytest.fixture(scope="module", params=[U8, TENSORRT], ids=["cpu", "tensorrt"])
def small(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Rig:
    """A network in which INT8 ruins one layer."""
    return rig(tmp_path_factory.mktemp("small"), request.param, network(RUINED))


def run(path: Path, profile: Profile, batches: Sequence[Frames] = BATCHES) -> Features:
    engine = OnnxRuntimeEngine(path, name="any", fuse=not profile.signed)
    return np.concatenate([engine.infer(batch) for batch in batches])


def apart(first: Features, second: Features) -> float:
    return float(np.linalg.norm(first - second) / np.linalg.norm(second))


# -- units


def test_a_convolution_and_what_is_fused_to_it_are_one_unit(small: Rig) -> None:
    segments = segments_of(load_model_with_shape_infer(small.plain))
    assert [s.nodes for s in segments] == [
        ("to_planes", "to_numbers", "centre"),
        *[(f"conv{k}", f"relu{k}") for k in range(4)],
        ("conv4", "add4", "relu4"),
        ("mul", "last"),
    ]
    assert [s.unit.name for s in segments if s.unit] == NAMES


def test_macs_are_those_of_one_picture(small: Rig) -> None:
    assert [unit.macs for unit in small.chain.units] == [16 * 16 * 8 * 9 * c for c in (3, 8, 8, 8, 8)]


def test_every_node_of_a_real_network_is_in_one_segment_and_after_what_it_reads(models: Models) -> None:
    model = load_model_with_shape_infer(models.path("fp32"))
    order = [name for segment in segments_of(model) for name in segment.nodes]
    assert sorted(order) == sorted(node.name for node in model.graph.node)
    at = {name: k for k, name in enumerate(order)}
    makers = {out: node.name for node in model.graph.node for out in node.output}
    for node in model.graph.node:
        assert all(at[makers[name]] < at[node.name] for name in node.input if name in makers)


@pytest.mark.parametrize(
    ("path", "block"),
    [
        ("body.2.1.block.0.0", "body.2.1"),
        ("body.8.0", "body.8.0"),
        ("head.attention.value", "head.attention"),
        ("stem", "stem"),
    ],
)
def test_a_modules_path_names_its_block(path: str, block: str) -> None:
    assert block_of(path.split(".")) == block


# -- the chain is the network


@settings(max_examples=12, deadline=None)
@given(kept=st.sets(st.sampled_from(NAMES)))
def test_any_mixture_of_segments_answers_as_the_model_written_with_it(small: Rig, kept: set[str]) -> None:
    written = run(small.mixed(sorted(kept)), small.profile)
    np.testing.assert_allclose(small.chain.features(BATCHES, kept), written, rtol=1e-4, atol=1e-4)


def test_everything_in_float_is_fp32(small: Rig) -> None:
    np.testing.assert_allclose(
        small.chain.features(BATCHES, NAMES), run(small.plain, small.profile), rtol=1e-5, atol=1e-5
    )


@settings(max_examples=20, deadline=None)
@given(kept=st.sets(st.sampled_from(NAMES)), before=st.lists(st.sets(st.sampled_from(NAMES)), max_size=2))
def test_a_run_taken_up_midway_ends_as_a_whole_one(
    small: Rig, kept: set[str], before: list[set[str]]
) -> None:
    traces = [small.chain.trace(BATCHES, other) for other in [set(), *before]]
    np.testing.assert_array_equal(small.chain.resume(traces, kept), small.chain.features(BATCHES, kept))


# -- what is written


def test_nodes_that_stay_in_float_have_no_rounding_around_them(small: Rig) -> None:
    """Nor between them, though the residual addition shares a tensor with a quantized convolution."""
    graph = onnx.load(small.mixed(["body.3.0", "body.4.0"])).graph
    makers = {out: node for node in graph.node for out in node.output}
    constants = {tensor.name for tensor in graph.initializer}
    found = {node.name: node for node in graph.node}
    for name in ("relu3", "add4", "relu4", "mul", "last"):
        assert all(makers[i].op_type not in PAIR for i in found[name].input if i in makers), name
    for name in ("conv3", "conv4"):
        assert set(found[name].input[1:]) <= constants, name
    assert makers[found["conv4"].input[0]].name == "relu3"
    assert makers[found["conv3"].input[0]].op_type == "DequantizeLinear"  # what INT8 hands over
    read = {i for node in graph.node for i in node.input}
    assert all(set(node.output) & read for node in graph.node if node.op_type in PAIR)


PAIR = {"QuantizeLinear", "DequantizeLinear"}


def test_everything_kept_leaves_no_pair_at_all(small: Rig) -> None:
    assert not [n for n in onnx.load(small.mixed(NAMES)).graph.node if n.op_type in PAIR]


def test_a_tensor_shared_by_a_float_and_an_int8_layer_is_rounded_for_the_latter_alone(small: Rig) -> None:
    graph = onnx.load(small.mixed(["body.3.0"])).graph
    makers = {out: node for node in graph.node for out in node.output}
    (addition,) = [node for node in graph.node if node.name == "add4"]
    kinds = {makers[name].op_type for name in addition.input}
    # TensorRT's convolutions can write floats, so there the other term is not rounded at all.
    assert kinds == ({"DequantizeLinear", "Conv"} if small.profile.signed else {"DequantizeLinear"})


def test_a_layer_in_float_between_layers_in_int8_runs_in_float(tmp_path: Path) -> None:
    """ONNX Runtime would give it INT8 weights with one scale for all channels, which it cannot bear."""
    small = rig(tmp_path, U8, network(1, layers=3))
    path = small.mixed(["body.1.0"])
    as_written = OnnxRuntimeEngine(path, name="any", fuse=False).infer(BATCHES[0])
    as_run = OnnxRuntimeEngine(path, name="any").infer(BATCHES[0])
    assert apart(as_run, as_written) < 0.02


@pytest.mark.parametrize("kept", [[], ["body.2.0"], ["body.0.0", "body.4.0"]], ids=str)
def test_nvidias_builder_compiles_mixed_models(
    tmp_path_factory: pytest.TempPathFactory, kept: list[str]
) -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="needs the package tensorrt-rtx-cu12")
    made = rig(tmp_path_factory.mktemp("compiled"), TENSORRT, network())
    plan = made.folder / "model.plan"
    sidecar = build_plan(made.mixed(kept), plan, trt=trt, target=CPU_TARGET, precision="mixed")
    assert sidecar.precision == "mixed"
    assert plan.stat().st_size > 1000


# -- sensitivity


def test_a_ruined_layer_is_found_in_both_directions(small: Rig) -> None:
    found = measure(small.chain, head(), BATCHES)
    assert found.photos == 8
    worst_alone = max(found.blocks, key=lambda block: block.alone)
    best_spared = min(found.blocks, key=lambda block: block.spared)
    assert worst_alone.name == best_spared.name == f"body.{RUINED}.0"
    assert worst_alone.alone > 3 * sorted(block.alone for block in found.blocks)[-2]
    assert best_spared.spared < found.int8 / 3


def test_layers_are_looked_at_where_their_block_does_harm_and_everywhere_when_asked(
    models: Models, finished_run: Run, val_frames: Frames, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = open_chain(models.calibration, models.path("int8-cpu"), cpu_profile())
    batches = [val_frames[:2]]
    every = measure(chain, finished_run.head, batches, every_layer=True)
    harms = [block.alone**2 for block in every.blocks]
    monkeypatch.setattr(sensitivity, "LOOK_INSIDE", float(np.median(harms) / sum(harms)))
    some = measure(chain, finished_run.head, batches)
    crowded = {b.name for b in every.blocks if len(b.units) > 1}
    assert 0 < len(some.layers) < len(every.layers)
    assert {layer.block for layer in every.layers} == crowded
    assert {layer.name for layer in some.layers} < {layer.name for layer in every.layers}
    for found in (some, every):
        assert [unit for item in found.items() for unit in item.units] == [u.name for u in chain.units]


# -- the yardstick


def test_a_map_that_is_only_higher_throughout_has_the_error_of_its_shift() -> None:
    """Two cells 0 and 2: spread 1 + 1 about their mean. A shift by 1 differs by 1 + 1: error 1."""
    one = head()
    features = np.zeros((1, 8, 1, 2), np.float32)
    features[0, :, 0, 1] = one.weight[0] / (one.weight[0] @ one.weight[0]) * 2
    yardstick = Yardstick(one, features, HW)
    shifted = features + (one.weight[0] / (one.weight[0] @ one.weight[0]))[None, :, None, None]
    assert yardstick.error(features) == 0
    assert yardstick.error(shifted) == pytest.approx(1, rel=1e-5)
    assert yardstick.likeness(features) == Likeness(1, 1, 1, 1)


def test_labels_of_a_few_photos_refuse_only_what_they_speak_against() -> None:
    good = Likeness(0.96, 0.92, 0.972, 0.992)
    assert Target().meets(good)
    for worse in ({"cam_iou": 0.949}, {"cam_iou_p10": 0.899}, {"agreement_at_best": 0.984}):
        assert not Target().meets(good._replace(**worse))


# -- the cheapest set

numbers = st.floats(0, 10, allow_nan=False)
problems = st.integers(1, 7).flatmap(
    lambda n: st.tuples(*[st.lists(numbers, min_size=n, max_size=n) for _ in range(3)])
)


def cheapest(harms: list[float], costs: list[float], crossings: list[float], need: float) -> float:
    """By trying every set."""
    sets = itertools.product([False, True], repeat=len(harms))
    enough = (s for s in sets if sum(h for h, taken in zip(harms, s, strict=True) if taken) >= need)
    return min((cost_of(s, costs, crossings) for s in enough), default=np.inf)


@settings(max_examples=40, deadline=None)
@given(problem=problems, share=st.floats(0.01, 1))
def test_the_set_is_enough_and_costs_what_trying_all_sets_finds(
    problem: tuple[list[float], list[float], list[float]], share: float
) -> None:
    """Up to the rounding of harm, by which a set must do a little more than was asked."""
    harms, costs, crossings = problem
    need = share * sum(harms)
    found = cover(harms, costs, crossings, need)
    assert found is not None
    assert sum(harms[i] for i in found) >= need * (1 - 1e-9)
    cost = cost_of([i in found for i in range(len(harms))], costs, crossings)
    assert cost >= cheapest(harms, costs, crossings, need * (1 - 1e-9)) - 1e-9
    assert cost <= cheapest(harms, costs, crossings, need * (1 + len(harms) / STEPS)) + 1e-9


@settings(max_examples=40, deadline=None)
@given(problem=problems, shares=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_more_harm_undone_never_costs_less(
    problem: tuple[list[float], list[float], list[float]], shares: tuple[float, float]
) -> None:
    harms, costs, crossings = problem
    total = sum(harms)
    prices = []
    for share in (min(shares), max(shares) * (1 + 10 / STEPS)):
        found = cover(harms, costs, crossings, share * total)
        taken = range(len(harms)) if found is None else found
        prices.append(cost_of([i in taken for i in range(len(harms))], costs, crossings))
    assert found is None or prices[0] <= prices[1] + 1e-9


def test_a_cheap_border_is_preferred_to_a_cheap_layer() -> None:
    """Alone, the second would do at 1 and two borders of 10; with both neighbours it has none."""
    assert cover([1, 5, 1], [2, 1, 2], [0, 10, 10], 5) == [0, 1, 2]
    assert cover([1, 5, 1], [2, 1, 2], [0, 1, 1], 5) == [1]


# -- the search


def items_of(harms: Sequence[float], macs: Sequence[int]) -> list[Harm]:
    return [
        Harm(f"layer {k}", "block", (f"layer {k}",), cost, 0, harm**0.5, 0.0)
        for k, (harm, cost) in enumerate(zip(harms, macs, strict=True))
    ]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.001, 1), st.integers(1, 100)), min_size=2, max_size=7),
    st.floats(0.02, 0.95),
)
def test_what_the_search_keeps_is_enough_and_nothing_of_it_can_be_left_out(
    layers: list[tuple[float, int]], allowed: float
) -> None:
    """Where harms add up, maps differ by what is left of them; no layer costs a border here."""
    harms, macs = [h for h, _ in layers], [m for _, m in layers]
    items = items_of(harms, macs)
    left_over = {item.name: harm for item, harm in zip(items, harms, strict=True)}

    def answers(kept: Sequence[str]) -> Likeness:
        left = sum(harm for name, harm in left_over.items() if name not in kept) / sum(harms)
        return Likeness(1 - left, 1 - left, 1, 1)

    target = Target(1 - allowed, 1 - allowed, 0.9)
    chosen, trials = search(items, answers, target, most_macs=1.0)
    assert trials[0].kept == []
    assert chosen
    names = [item.name for item in chosen]
    assert target.meets(answers(names))
    for name in names:
        assert len(names) == 1 or not target.meets(answers([other for other in names if other != name]))
    # Between two levels of the ladder a cheaper set may hide: the next level's optimum bounds the cost.
    need = sum(harms) * (1 - allowed * 0.01 ** (1 / 31)) * (1 + 10 / STEPS)
    bound = cheapest(harms, [float(m) for m in macs], [0.0] * len(macs), min(need, sum(harms)))
    assert sum(item.macs for item in chosen) <= bound + 1e-9


def test_nothing_is_kept_where_int8_will_do() -> None:
    chosen, trials = search(items_of([1, 2], [3, 4]), lambda _: Likeness(1, 1, 1, 1), Target())
    assert (chosen, len(trials)) == ([], 1)


def test_where_half_the_network_in_float_is_not_enough_mixing_does_not_pay() -> None:
    bad = Likeness(0.5, 0.5, 1, 1)
    chosen, trials = search(items_of([1, 1, 1], [1, 1, 1]), lambda _: bad, Target(), most_macs=0.5)
    assert chosen is None
    assert all(trial.macs_share <= 0.5 for trial in trials)


def test_the_plan_of_a_network_with_one_ruined_layer_is_that_layer(small: Rig) -> None:
    found = measure(small.chain, head(), BATCHES)
    only = small.chain.features(BATCHES, [f"body.{RUINED}.0"])
    yardstick = Yardstick(head(), small.chain.features(BATCHES, NAMES), HW)
    asked = yardstick.likeness(only)
    target = Target(asked.cam_iou, asked.cam_iou_p10, 0.5)
    plan = plan_for(small.chain, head(), found, BATCHES, profile="int8-cpu", target=target)
    assert [kept.name for kept in plan.kept] == [f"body.{RUINED}.0"]
    assert plan.nodes == [f"conv{RUINED}", f"relu{RUINED}"]
    assert plan.macs_share == pytest.approx(8 / 35)
    assert plan.ships


def test_stricter_targets_never_keep_less(small: Rig) -> None:
    found = measure(small.chain, head(), BATCHES)
    shares = []
    for bound in (0.3, 0.6, 0.9, 0.97):
        target = Target(bound, 2 * bound - 1, 0.3)
        plan = plan_for(small.chain, head(), found, BATCHES, profile="any", target=target, most_macs=1.0)
        shares.append(plan.macs_share)
    assert shares == sorted(shares)


# -- the plan on disk


def test_a_plan_reads_back_as_it_was_written(small: Rig) -> None:
    plan = plan_for(
        small.chain,
        head(),
        measure(small.chain, head(), BATCHES),
        BATCHES,
        profile="any",
        target=Target(0.9, 0.8),
    )
    assert plan.trials
    assert Plan.read(json.loads(json.dumps(plan.document(), allow_nan=False))) == plan
    assert all(any(kept.name in line for line in plan.lines()) for kept in plan.kept)


def test_the_quantized_nodes_are_those_of_the_file(models: Models) -> None:
    plain = onnx.load(models.path("fp32"))
    written = onnx.load(models.path("int8-tensorrt"))
    makers = {out: node for node in written.graph.node for out in node.output}
    convolutions = [n for n in written.graph.node if n.op_type == "Conv"]
    rounded = {n.name for n in convolutions if makers[n.input[0]].op_type == "DequantizeLinear"}
    stem = set(models.calibration.floats(TENSORRT))
    assert rounded == {name for name in quantized_nodes(plain, stem) if name.startswith("Conv")}
