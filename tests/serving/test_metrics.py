"""What a server counts: Prometheus's own parser reads it, and workers are summed."""

from __future__ import annotations

import os

import pytest
from prometheus_client.parser import text_string_to_metric_families

from wellread.serving.metrics import COUNTERS, GAUGES, HISTOGRAMS, Metrics


def samples(metrics):
    """Return every sample by its name and its bound; the parser adds _total to the names of counters."""
    families = [*text_string_to_metric_families(metrics.page().decode())]
    assert {family.name: family.type for family in families} == {
        **dict.fromkeys(COUNTERS, "counter"),
        **dict.fromkeys(GAUGES, "gauge"),
        **dict.fromkeys(HISTOGRAMS, "histogram"),
    }
    assert all(family.documentation for family in families)
    return {(one.name, one.labels.get("le")): one.value for family in families for one in family.samples}


def test_counters_gauges_and_buckets():
    metrics = Metrics()
    metrics.count("te_request_count")
    metrics.count("te_request_count")
    metrics.set("te_queue_size", 7)
    metrics.observe("te_request_input_length", 1, 3, 4, 99_999)
    read = samples(metrics)
    assert read["te_request_count_total", None] == 2
    assert read["te_queue_size", None] == 7
    name = "te_request_input_length"
    buckets = [read[f"{name}_bucket", bound] for bound in ("1.0", "2.0", "4.0", "8.0", "32768.0", "+Inf")]
    assert buckets == [1, 1, 3, 3, 3, 4]
    assert (read[f"{name}_sum", None], read[f"{name}_count", None]) == (100_007, 4)
    assert read["te_request_duration_count", None] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_processes_are_summed_and_one_that_takes_a_place_goes_on_with_its_counts():
    metrics = Metrics(workers=3)

    def work(worker):
        process = os.fork()
        if not process:
            metrics.become(worker)
            metrics.count("te_request_count")
            metrics.set("te_queue_size", 5)
            metrics.observe("te_batch_next_size", 2)
            os._exit(0)
        assert os.waitpid(process, 0)[1] == 0

    for worker in (0, 1, 2, 1):
        work(worker)
    read = samples(metrics)
    assert read["te_request_count_total", None] == 4
    assert read["te_batch_next_size_sum", None] == 8
    assert read["te_queue_size", None] == 15
    metrics.become(1)
    assert samples(metrics)["te_queue_size", None] == 10
