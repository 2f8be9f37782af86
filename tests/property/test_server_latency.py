"""Histograms of many workers, put together, are the histogram of everything that was measured."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from dchat_server.latency import BOUNDS_S, Histogram, Recent, Sparse, merged, percentile_ms, summary_ms

times = st.lists(st.floats(0, 100, allow_nan=False) | st.sampled_from(BOUNDS_S), max_size=40)


def posted(seconds: Sequence[float]) -> Sparse:
    """What a worker posts that measured these."""
    histogram = Histogram()
    recent = Recent(histogram, 0.0)
    for each in seconds:
        histogram.note(each)
    return recent.look(1.0)


@settings(max_examples=100, deadline=None)
@given(st.lists(times, max_size=6), st.randoms(use_true_random=False))
def test_merged_histograms_are_those_of_all_measurements(workers: list[list[float]], chance: random.Random) -> None:
    everything = posted([each for worker in workers for each in worker])
    parts = [posted(worker) for worker in workers]
    assert merged(parts) == everything
    chance.shuffle(parts)
    cut = chance.randint(0, len(parts))
    assert merged([merged(parts[:cut]), merged(parts[cut:])]) == everything, "in any order and any grouping"
    told = summary_ms(everything)
    assert (told["count"] if told else 0) == sum(map(len, workers))


@settings(max_examples=100, deadline=None)
@given(times.filter(bool), st.sampled_from((0.5, 0.95, 0.99, 1.0)))
def test_a_percentile_lies_in_the_bucket_of_the_measurement_it_names(seconds: list[float], share: float) -> None:
    ranked = sorted(seconds)[math.ceil(share * len(seconds)) - 1]
    told = percentile_ms(posted(seconds), share)
    assert told is not None
    bounds = [0.0, *BOUNDS_S]
    low = max((bound for bound in bounds if bound < ranked), default=0.0)
    high = min((bound for bound in bounds if bound >= ranked and bound), default=BOUNDS_S[-1])
    if ranked > BOUNDS_S[-1]:
        low = high = BOUNDS_S[-1]
    assert low * 1000 - 0.001 <= told <= high * 1000 + 0.001


@settings(max_examples=100, deadline=None)
@given(times)
def test_percentiles_rise(seconds: list[float]) -> None:
    told = summary_ms(posted(seconds))
    assert told is None or told["p50"] <= told["p95"] <= told["p99"]
