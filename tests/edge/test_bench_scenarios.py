"""The scenarios against servers of known speed, in simulated time."""

import math
from decimal import Decimal, localcontext
from itertools import repeat

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats

from edge.bench_kit import Server, SimulatedTime, constant, of, stalling
from edgecam.bench import names, omission, scenarios
from edgecam.bench.omission import replay
from edgecam.bench.peak import find_peak
from edgecam.bench.percentiles import least_samples, order_statistic, upper_bound
from edgecam.bench.schedule import poisson, steady


def md1_wait_below(t: float, rate: float, service: float) -> float:
    """The chance that a query of an M/D/1 queue waits at most `t`, by Erlang's sum over whole services."""
    with localcontext() as exact:
        exact.prec = 60  # the terms alternate and are large
        steps = [
            Decimal(rate) * (k * Decimal(service) - Decimal(t)) for k in range(math.floor(t / service) + 1)
        ]
        total = sum((x**k / math.factorial(k) * (-x).exp() for k, x in enumerate(steps) if x), Decimal(0))
        return float((1 - Decimal(rate) * Decimal(service)) * total)


def md1_latency(percent: float, rate: float, service: float) -> float:
    wait = optimize.brentq(lambda t: md1_wait_below(t, rate, service) - percent / 100, 0, 40 * service)
    return float(wait) + service


def test_single_stream_gives_the_next_frame_when_the_last_is_answered() -> None:
    clock = SimulatedTime()
    server = Server(clock, iter([9.0, 9.0, 0.002, 0.004, 0.003]))
    run = scenarios.closed_loop(server, clock.time, queries=3, warm_up=2)
    assert run.latency == pytest.approx([0.002, 0.004, 0.003])
    assert run.warm_up == pytest.approx([9, 9])
    assert run.cpu == pytest.approx(run.service)
    assert run.throughput == pytest.approx(3 / 0.009)


def test_multi_stream_asks_for_eight_frames_at_once() -> None:
    clock = SimulatedTime()
    server = constant(clock, 0.01)
    run = scenarios.closed_loop(
        server, clock.time, queries=5, per_query=names.STREAMS, scenario=names.MULTI_STREAM
    )
    assert server.frames == [8] * 5
    assert (run.scenario, run.frames) == ("multi-stream", 40)
    assert run.throughput == pytest.approx(800)


def test_offline_has_every_frame_wait_from_the_start() -> None:
    clock = SimulatedTime()
    run = scenarios.offline(constant(clock, 0.5), clock.time, batches=4, batch=16, warm_up=1)
    assert run.latency == pytest.approx([0.5, 1.0, 1.5, 2.0])
    assert run.throughput == pytest.approx(32)


def test_a_soak_lasts_as_long_as_it_was_asked_to() -> None:
    clock = SimulatedTime()
    run = scenarios.soak(constant(clock, 0.25), clock.time, seconds=10)
    assert len(run.latency) == 40


def test_latency_in_the_server_scenario_counts_from_the_scheduled_arrival() -> None:
    clock = SimulatedTime()
    run = scenarios.open_loop(constant(clock, 1.0), clock.time, np.array([0.5, 0.6, 5.0]))
    assert run.latency == pytest.approx([1.0, 1.9, 1.0])
    assert run.service == pytest.approx([1.0, 1.0, 1.0])
    assert clock.slept == pytest.approx([0.5, 2.5])


def test_a_camera_faster_than_the_engine_drops_frames_and_counts_them() -> None:
    clock = SimulatedTime()
    run = scenarios.camera(constant(clock, 0.25), clock.time, fps=10, frames=101)
    # Frames come at 0, 0.1, 0.2, ...: at 0.25 the newest is the one of 0.2.
    assert run.scheduled[:4] == pytest.approx([0, 0.2, 0.5, 0.7])
    assert run.latency[:4] == pytest.approx([0.25, 0.3, 0.25, 0.3])
    assert len(run.latency) + run.dropped == 101
    assert 57 <= run.dropped <= 62
    assert run.throughput == pytest.approx(4, rel=0.01)


def test_a_camera_slower_than_the_engine_drops_nothing_and_nothing_waits() -> None:
    clock = SimulatedTime()
    run = scenarios.camera(constant(clock, 0.01), clock.time, fps=30, frames=90)
    assert run.dropped == 0
    assert run.latency == pytest.approx([0.01] * 90)


@given(st.floats(0.001, 0.5), st.floats(1, 200), st.integers(1, 80))
def test_a_camera_loses_no_frame_from_its_books(service: float, fps: float, frames: int) -> None:
    clock = SimulatedTime()
    run = scenarios.camera(constant(clock, service), clock.time, fps=fps, frames=frames)
    assert len(run.latency) + run.dropped == frames
    assert (np.diff(run.scheduled) > 0).all()
    assert run.scheduled[0] == 0
    assert (run.latency >= service * (1 - 1e-9)).all()
    assert (run.latency <= service + 1 / fps + 1e-6).all()


def test_poisson_arrivals_are_exponentially_apart_and_poisson_in_number() -> None:
    arrivals = poisson(200.0, 20_000, np.random.default_rng(1))
    gaps = np.diff(arrivals, prepend=0)
    assert stats.kstest(gaps, "expon", args=(0, 1 / 200)).pvalue > 0.01
    counts = np.bincount(arrivals.astype(int))[:-1]  # arrivals in each second, the last not whole
    dispersion = counts.var(ddof=1) / counts.mean()
    low, high = stats.chi2.ppf([0.005, 0.995], len(counts) - 1) / (len(counts) - 1)
    assert low < dispersion < high
    lag = np.corrcoef(gaps[:-1], gaps[1:])[0, 1]
    assert abs(lag) < 3 / math.sqrt(len(gaps))


def test_a_steady_pace_is_even() -> None:
    assert steady(25, 4) == pytest.approx([0, 0.04, 0.08, 0.12])


@pytest.mark.parametrize("load", [0.3, 0.5, 0.7])
def test_a_server_of_known_speed_has_the_p99_that_queueing_theory_gives_it(load: float) -> None:
    service, n = 0.004, 60_000
    rate = load / service
    clock = SimulatedTime()
    run = scenarios.open_loop(
        constant(clock, service), clock.time, poisson(rate, n, np.random.default_rng(8))
    )
    known = md1_latency(99, rate, service)
    assert order_statistic(run.latency, 99) == pytest.approx(known, rel=0.08)
    bound = upper_bound(run.latency, 99)
    assert bound is not None
    assert known <= bound * 1.05


def test_a_busy_server_has_the_known_p99_as_well_only_that_it_takes_many_more_queries() -> None:
    service, n = 0.004, 2_000_000
    arrivals = poisson(0.9 / service, n, np.random.default_rng(8))
    latency = replay(np.full(n, service), arrivals)
    assert np.quantile(latency, 0.99) == pytest.approx(md1_latency(99, 0.9 / service, service), rel=0.04)


def test_an_exponential_server_has_the_latency_of_an_mm1_queue() -> None:
    rng = np.random.default_rng(3)
    clock = SimulatedTime()
    server = of(clock, lambda: float(rng.exponential(0.01)))
    run = scenarios.open_loop(server, clock.time, poisson(60, 60_000, rng))
    # Latency is exponential with rate mu - lambda = 40 a second.
    assert order_statistic(run.latency, 90) == pytest.approx(stats.expon.ppf(0.9, scale=1 / 40), rel=0.08)


def test_the_bound_contains_the_known_p99_as_often_as_it_promises() -> None:
    rng = np.random.default_rng(0)
    known = stats.lognorm.ppf(0.99, 0.5)
    held = [known <= (upper_bound(rng.lognormal(0, 0.5, 800), 99) or 0) for _ in range(300)]
    assert np.mean(held) >= 0.975


@pytest.mark.parametrize(("percent", "least"), [(90, 64), (95, 130), (99, 662)])
def test_the_least_number_of_samples_is_mlperfs(percent: int, least: int) -> None:
    assert least_samples(percent) == least


@pytest.mark.parametrize("percent", [50, 90, 99])
@pytest.mark.parametrize("n", [64, 130, 662, 700, 2000])
def test_the_bound_is_the_order_statistic_that_scipys_binomial_allows(percent: int, n: int) -> None:
    values = np.arange(1, n + 1, dtype=float)
    # Discard as many of the worst as `binom` leaves a chance of at most 1 % for, report the next.
    chances = stats.binom.cdf(np.arange(n + 1), n, 1 - percent / 100)
    allowed = int((chances <= 0.01).sum()) - 1
    expected = values[n - allowed] if allowed >= 1 else None
    assert upper_bound(values, percent) == expected


def test_a_stall_in_every_hundredth_call_hides_in_the_closed_loop_and_shows_in_the_open_one() -> None:
    clock = SimulatedTime()
    closed = scenarios.closed_loop(stalling(clock, 0.001, 0.010, 100), clock.time, queries=2000)
    assert order_statistic(closed.latency, 99) == pytest.approx(0.001)
    clock = SimulatedTime()
    opened = scenarios.open_loop(stalling(clock, 0.001, 0.010, 100), clock.time, steady(0.8 / 0.001, 2000))
    assert order_statistic(opened.latency, 99) > 0.009
    told = omission.hidden(closed.service)
    assert told.suspected
    assert told.open_p99 == pytest.approx(order_statistic(opened.latency, 99), rel=0.01)
    assert told.stalls == 20
    assert "coordinated omission suspected" in told.in_words()
    assert "1.00 ms hides" in told.in_words()


def test_an_even_server_hides_nothing() -> None:
    rng = np.random.default_rng(2)
    assert not omission.hidden(rng.normal(0.004, 0.0001, 2000)).suspected


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(1e-3, 1)), min_size=1, max_size=50),
)
def test_the_replay_is_the_queue_itself(steps: list[tuple[float, float]]) -> None:
    arrivals = np.cumsum([gap for gap, _ in steps])
    service = np.array([taken for _, taken in steps])
    clock = SimulatedTime()
    run = scenarios.open_loop(Server(clock, iter(service)), clock.time, arrivals)
    np.testing.assert_allclose(replay(service, arrivals), run.latency, atol=1e-9)


def test_the_search_finds_the_highest_rate_whose_p99_holds() -> None:
    service, bound = 0.004, 0.016

    def at(rate: float) -> scenarios.Run:
        clock = SimulatedTime()
        arrivals = poisson(rate, 20_000, np.random.default_rng(5))
        return scenarios.open_loop(constant(clock, service), clock.time, arrivals)

    found = find_peak(at, first=20, bound=bound)
    assert found.rate is not None
    assert md1_latency(99, found.rate, service) == pytest.approx(bound, rel=0.12)
    assert (upper_bound(found.run.latency, 99) or math.inf) <= bound
    refused = min(tried.rate for tried in found.tries if not tried.held)
    assert found.rate < refused <= found.rate * 1.021


def test_a_bound_that_no_rate_holds_is_said_to_be_held_by_none() -> None:
    def at(rate: float) -> scenarios.Run:
        clock = SimulatedTime()
        return scenarios.open_loop(constant(clock, 0.02), clock.time, steady(rate, 700))

    found = find_peak(at, first=100, bound=0.01)
    assert found.rate is None
    # Six rates down to a thirty-second of the first: where nothing waits, a slower one helps nobody.
    assert [tried.rate for tried in found.tries] == [100 / 2**halved for halved in range(6)]


def test_too_few_queries_prove_no_rate() -> None:
    def at(rate: float) -> scenarios.Run:
        clock = SimulatedTime()
        return scenarios.open_loop(Server(clock, repeat(0.001)), clock.time, steady(rate, 661))

    assert find_peak(at, first=100, bound=1).rate is None
