"""Ranges from histograms: constants by hand, and what must hold of every method."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgecam_calibration.quantization.histogram import ChannelHistograms, Histogram
from edgecam_calibration.quantization.ranges import METHODS, Method, entropy, min_max, mse, percentile
from edgecam_calibration.quantization.ranges.bounds import fake_quantized


def of(values: NDArray[np.float64], bins: int = 2048) -> Histogram:
    counts, edges = np.histogram(values, bins)
    return Histogram(counts.astype(np.float64), edges)


def normal(n: int = 20_000, seed: int = 0) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=n)


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@settings(max_examples=30, deadline=None)
@given(
    counts=st.lists(st.integers(0, 1000), min_size=2, max_size=60).filter(any),
    low=st.floats(-100, 50),
    width=st.floats(0.01, 200),
    symmetric=st.booleans(),
)
def test_a_range_holds_zero_and_no_more_than_what_was_seen(
    method: Method,
    counts: list[int],
    low: float,
    width: float,
    symmetric: bool,
) -> None:
    edges = np.linspace(low, low + width, len(counts) + 1)
    found = method(Histogram(np.array(counts, float), edges), symmetric)
    widest = max(abs(low), abs(low + width))
    assert found[0] <= 0 <= found[1]
    assert -widest - 1e-9 <= found[0] <= found[1] <= widest + 1e-9
    assert found[1] > found[0] or not any(counts) or width == 0
    if symmetric:
        assert found[0] == -found[1]


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("symmetric", [False, True])
def test_twice_the_values_have_twice_the_range(method: Method, symmetric: bool) -> None:
    counts, edges = of(normal())
    once, twice = method(Histogram(counts, edges), symmetric), method(Histogram(counts, 2 * edges), symmetric)
    np.testing.assert_allclose(twice, 2 * np.array(once))


def test_min_max_is_the_outermost_edges_and_zero() -> None:
    histogram = Histogram(np.array([1.0, 0.0, 2.0]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert min_max(histogram, False) == (0.0, 4.0)
    assert min_max(histogram, True) == (-4.0, 4.0)


def test_percentile_cuts_off_the_rare_values_by_hand() -> None:
    """100 values of 0.5, 1.5, ..., 99.5: 98 % of them evenly lie between 1 and 99."""
    histogram = Histogram(np.ones(100), np.arange(101.0) - 50)
    assert percentile(histogram, False, kept=0.98) == (-49.0, 49.0)
    assert percentile(histogram, True, kept=0.98) == (-49.0, 49.0)


@pytest.mark.parametrize("method", [mse, entropy], ids=["mse", "entropy"])
def test_one_far_value_does_not_stretch_the_range(method: Method) -> None:
    histogram = of(np.append(normal(200_000), 9.0))
    assert method(histogram, True)[1] < 7
    assert min_max(histogram, True)[1] == 9


def test_evenly_spread_values_are_not_cut_by_mse() -> None:
    low, high = mse(of(np.random.default_rng(0).uniform(0, 6, 50_000)), False)
    assert low == 0
    assert high > 5.9


def test_no_other_share_of_min_max_has_a_smaller_squared_error_than_mse() -> None:
    """Against the values themselves and not the histogram."""
    values = np.random.default_rng(1).laplace(size=20_000)
    _, chosen = mse(of(values), True)

    def error(most: float) -> float:
        return float(np.mean((values - fake_quantized(values, -most, most, True)) ** 2))

    widest = np.abs(values).max()
    assert error(chosen) <= 1.02 * min(error(widest * share) for share in np.linspace(0.3, 1, 50))


def test_eight_bits_by_hand() -> None:
    values = np.array([-3.0, 0.0, 0.004, 0.6, 300.0])
    np.testing.assert_allclose(fake_quantized(values, 0, 255, False), [0, 0, 0, 1, 255])
    np.testing.assert_allclose(fake_quantized(values, -127, 127, True), [-3, 0, 0, 1, 127])


# -- histograms that widen


@settings(max_examples=40, deadline=None)
@given(
    batches=st.lists(st.tuples(st.floats(-50, 50), st.floats(0.001, 100)), min_size=1, max_size=5),
    seed=st.integers(0, 99),
)
def test_whatever_comes_every_value_is_counted_once_and_near_its_place(
    batches: list[tuple[float, float]], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    tensors = [(m + s * rng.normal(size=(2, 3, 40))).astype(np.float32) for m, s in batches]
    histograms = ChannelHistograms.first(tensors[0])
    for tensor in tensors[1:]:
        histograms.add(tensor)
    whole = np.concatenate(tensors)
    np.testing.assert_array_equal(histograms.low, whole.min(axis=(0, 2)))
    np.testing.assert_array_equal(histograms.high, whole.max(axis=(0, 2)))
    assert (histograms.counts.sum(axis=1) == whole.size // 3).all()
    spread = whole.max(axis=(0, 2)) - whole.min(axis=(0, 2))
    assert (histograms.width <= spread / 50 + 1e-3).all()  # the steps stay fine
    middles = histograms.start[:, None] + histograms.width[:, None] * (
        np.arange(histograms.counts.shape[1]) + 0.5
    )
    means = (histograms.counts * middles).sum(axis=1) / histograms.counts.sum(axis=1)
    assert (np.abs(means - whole.mean(axis=(0, 2))) <= 1.1 * histograms.width + 1e-3).all()


def test_the_merged_histogram_is_that_of_the_scaled_tensor() -> None:
    rng = np.random.default_rng(0)
    tensor = rng.normal(size=(4, 3, 500)).astype(np.float32)
    scale = np.array([1.0, 3.0, 0.5])
    merged = ChannelHistograms.first(tensor).merged(scale, bins=64)
    scaled = tensor * scale[None, :, None]
    assert merged.edges[0] == pytest.approx(scaled.min())
    assert merged.edges[-1] == pytest.approx(scaled.max())
    wanted, _ = np.histogram(scaled, merged.edges)
    assert merged.counts.sum() == scaled.size
    assert np.abs(np.cumsum(merged.counts) - np.cumsum(wanted)).max() < 0.02 * scaled.size


def test_a_channel_that_never_varies_is_counted_too() -> None:
    histograms = ChannelHistograms.first(np.zeros((1, 2, 4), np.float32))
    histograms.add(np.full((1, 2, 4), 5, np.float32))
    assert (histograms.counts.sum(axis=1) == 8).all()
    assert histograms.range() == (0.0, 5.0)
