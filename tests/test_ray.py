"""wellread.ray on a Ray of this machine; on two machines of a cluster, of which one dies; and after a kill."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import wellread
from wellread.errors import ClusterError, HandleError, InputError

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of Ray's own imports
    pytest.importorskip("ray")
    import ray
    import ray.data
    from ray.cluster_utils import Cluster

    import wellread.ray

pytestmark = pytest.mark.filterwarnings("ignore")  # Ray leaves sockets and warnings of its own
QUIET = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
STORE = 100_000_000  # bytes of the memory that processes share
FILES, ROWS = 12, 40  # of each file


def prepare():
    """Let Ray's workers import what this process imports, and be quiet."""
    ray.data.DataContext.get_current().enable_progress_bars = False
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])


@pytest.fixture(scope="module")
def local():
    ray.init(
        "local", num_cpus=8, object_store_memory=STORE, **QUIET
    )  # of a run that failed, actors live as long as its error
    prepare()
    yield
    ray.shutdown()


@pytest.fixture
def texts(tmp_path):
    """Write files of texts with ids; return their folder."""
    (tmp_path / "texts").mkdir()
    for file in range(FILES):
        ids = range(file * ROWS, (file + 1) * ROWS)
        table = pa.table({"id": list(ids), "body": [f"This is text {number}. " + "And so on. " * 60 for number in ids]})
        pq.write_table(table, tmp_path / "texts" / f"{file}.parquet")
    return tmp_path / "texts"


def read(folder: Path):
    return ray.data.read_parquet(str(folder))


def written(folder: Path) -> pa.Table:
    """Read every file by itself, as it lies there, in the order of the ids."""
    files = sorted(folder.glob("*.parquet"))
    return pa.concat_tables([pq.read_table(file) for file in files]).sort_by("id") if files else pa.table({"id": []})


def readable(folder: Path) -> pa.Table:
    """Read the files that are written to their end."""
    tables = []
    for file in folder.glob("*.parquet"):
        with contextlib.suppress(pa.ArrowInvalid, OSError):
            tables.append(pq.read_table(file))
    return pa.concat_tables(tables) if tables else pa.table({"id": [], "node": []})


def check_vectors(table: pa.Table) -> None:
    """Hold the vectors against what encode gives: in float32 a text's vector is its own, whatever stands beside it."""
    assert table["id"].to_pylist() == list(range(FILES * ROWS))
    module = wellread.load("default")
    vectors = np.array(table["embedding"].to_pylist(), np.float32)
    np.testing.assert_allclose(vectors, module.encode(table["body"].to_pylist(), precision="f32"), atol=1e-5)
    assert table.schema.field("embedding").type == pa.list_(pa.field("element", pa.float32()), module.embedding_size)
    assert table.schema.field("embedding").metadata[b"wellread.fingerprint"] == module.fingerprint.encode()


class Threads:
    """Say with how many threads an actor computes."""

    output_column = "threads"

    def __init__(self, *arguments, **options):
        """Take what EncodeBatch takes."""

    def __call__(self, batch):
        """Count."""
        from wellread.cores import cpu_count

        return batch.append_column("threads", pa.array([cpu_count()] * len(batch)))


ROW = pa.table({"id": [7], "body": ["A man is playing a guitar."]})


def test_a_dataset_gets_vectors(local):
    (row,) = wellread.ray.embed(ray.data.from_arrow(ROW), "body", concurrency=1).take_all()
    assert [*row] == ["id", "body", "embedding"]
    np.testing.assert_allclose(row["embedding"], wellread.load("default").encode(ROW["body"])[0], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"column": "bdy"}, r"a column 'bdy'; found id, body; pass one of these \(did you mean body\?\)"),
        ({"output_column": "id"}, "a new column 'id'; the dataset has one of that name"),
        ({"concurrency": 0}, r"at least 1, or the least and the largest; found 0; pass such as concurrency=4"),
        ({"concurrency": (2, 1)}, r"found \(2, 1\)"),
        ({"num_cpus": 0.5}, r"num_cpus is a number, at least 1; found 0\.5"),
        ({"batch_size": 0}, "batch_size is a number, at least 1; found 0"),
        ({"id_column": "id"}, "takes id_column= and checkpoint_path=; found 'id' and None; pass both"),
        ({"dtype": "int8"}, "dtype is one of float32, float16"),
        ({"normalise": True}, "an option of encode was expected"),
    ],
)
def test_wrong_arguments_are_refused_at_once(local, options, message):
    with pytest.raises(InputError, match=message):
        wellread.ray.embed(ray.data.from_arrow(ROW), **{"column": "body", **options})


def test_without_ray_the_extra_is_named():
    code = "import importlib.util as util; find = util.find_spec; import wellread.corpus.batches\n"
    code += "util.find_spec = lambda name, *rest: None if name == 'ray' else find(name, *rest)\nimport wellread.ray"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'MissingExtra: this needs ray, which is not installed; run: pip install "wellread[ray]"' in done.stderr


@pytest.mark.slow
def test_files_get_files_of_vectors_with_so_many_threads_as_cores(local, texts, tmp_path, monkeypatch):
    vectors = wellread.ray.embed(read(texts), "body", concurrency=1, precision="f32")
    wellread.ray.write_parquet(vectors, tmp_path / "vectors")
    check_vectors(written(tmp_path / "vectors"))
    monkeypatch.setattr(wellread.ray, "EncodeBatch", Threads)
    (row,) = wellread.ray.embed(ray.data.from_arrow(ROW), "body", concurrency=1, num_cpus=2).take(1)
    assert row["threads"] == min(2, len(os.sched_getaffinity(0)))  # whatever OMP_NUM_THREADS is here


@pytest.mark.slow
def test_what_fails_on_the_cluster_raises_our_errors(local, texts, tmp_path, monkeypatch):
    for module, column, kind, message in (
        ("default", "id", InputError, "the column 'id' was to hold texts; found int64; pass another column=.*first$"),
        ("/no/such", "body", HandleError, r"nothing at it.*pass the Module itself.*arrays$"),
    ):
        vectors = wellread.ray.embed(read(texts), column, module=module, concurrency=1)
        with pytest.raises(kind, match=message):
            wellread.ray.write_parquet(vectors, tmp_path / "vectors")
        with pytest.raises(kind):  # as Ray raises it
            vectors.take(1)

    class Dying(Threads):
        def __call__(self, batch):
            os._exit(1)

    monkeypatch.setattr(wellread.ray, "EncodeBatch", Dying)
    monkeypatch.setattr(wellread.ray, "RETRIES", 1)
    with pytest.raises(ClusterError, match=r"found one with which they died 2 times: The actor .*pass fewer actors"):
        wellread.ray.write_parquet(wellread.ray.embed(read(texts), "body", concurrency=1), tmp_path / "vectors")


@pytest.mark.slow
def test_a_module_travels_with_its_arrays(local, texts, tmp_path):
    module = wellread.load("default")
    module.max_seq_length = 16
    vectors = wellread.ray.embed(read(texts), "body", module=module, concurrency=2, precision="f32")
    wellread.ray.write_parquet(vectors, tmp_path / "vectors")
    found = written(tmp_path / "vectors")
    assert found.schema.field("embedding").metadata[b"wellread.fingerprint"] == module.fingerprint.encode()
    assert found["id"].to_pylist() == list(range(FILES * ROWS))


@pytest.mark.slow
def test_a_checkpoint_is_of_one_job_and_of_unique_ids(local, texts, tmp_path):
    done = {"id_column": "id", "checkpoint_path": tmp_path / "done", "concurrency": 1, "precision": "f32"}
    for _ in range(2):  # the second time nothing is left to do
        wellread.ray.write_parquet(wellread.ray.embed(read(texts), "body", **done), tmp_path / "vectors")
        check_vectors(written(tmp_path / "vectors"))
    assert read(texts).context.checkpoint_config is None
    with pytest.raises(
        InputError, match=r"of another: options .*, now .*'truncate_dim': '8'.*another checkpoint_path="
    ):
        wellread.ray.embed(read(texts), "body", truncate_dim=8, **done)
    pq.write_table(pa.table({"id": [7, 9, None], "body": ["a", "b", "c"]}), texts / "more.parquet")
    with pytest.raises(InputError, match="found 1 null, and 2 of several rows: 7, 9; .*pass an id_column="):
        wellread.ray.embed(read(texts), "body", **{**done, "checkpoint_path": tmp_path / "other"})
    pq.write_table(pa.table({"id": [0.5], "body": ["a"]}), tmp_path / "floats.parquet")
    with pytest.raises(InputError, match="integers or strings; 'id' holds double"):
        wellread.ray.embed(read(tmp_path / "floats.parquet"), "body", **{**done, "checkpoint_path": tmp_path / "c"})
    with pytest.raises(InputError, match="found one of rows in memory"):
        wellread.ray.embed(ray.data.from_arrow(pa.table({"id": [1], "body": ["a"]})), "body", **done)


JOB = """
import sys, time
import ray, ray.data
import wellread.ray

class Slow(wellread.EncodeBatch):
    def __call__(self, batch):
        time.sleep(0.5)
        return super().__call__(batch)

ray.init("local", num_cpus=4, object_store_memory=100_000_000, include_dashboard=False, log_to_driver=False)
ray.data.DataContext.get_current().target_max_block_size = BLOCK
wellread.ray.EncodeBatch = Slow
texts = ray.data.read_parquet(sys.argv[1])
done = {"id_column": "id", "checkpoint_path": sys.argv[2] + "/done"}
vectors = wellread.ray.embed(texts, "body", concurrency=1, batch_size=40, precision="f32", **done)
wellread.ray.write_parquet(vectors, sys.argv[2] + "/vectors")
"""
BLOCK = 30_000  # bytes: what is read and written at once; of many, some are done when something dies


@pytest.mark.slow
def test_after_a_kill_no_row_is_lost_or_doubled(texts, tmp_path):
    arguments = [sys.executable, "-c", JOB.replace("BLOCK", str(BLOCK)), str(texts), str(tmp_path)]
    first = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    while first.poll() is None and len(list((tmp_path / "done" / "ids").glob("*.parquet"))) < 3:
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.wait()
    time.sleep(5)  # the workers of a driver that was killed end by themselves
    before = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "vectors").glob("*.parquet")}
    assert 0 < len(written(tmp_path / "vectors")) < FILES * ROWS
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    check_vectors(written(tmp_path / "vectors"))
    after = {file.name: file.stat().st_mtime_ns for file in (tmp_path / "vectors").glob("*.parquet")}
    assert [name for name, changed in before.items() if after.get(name) == changed]  # what was done stayed


class Placed(wellread.EncodeBatch):
    """EncodeBatch that takes its time, and notes on which machine it was."""

    def __call__(self, batch):
        """Encode."""
        time.sleep(0.5)
        node = ray.get_runtime_context().get_node_id()
        return super().__call__(batch).append_column("node", pa.array([node] * len(batch)))


@pytest.mark.slow
def test_a_machine_that_dies_takes_no_row_with_it(texts, tmp_path, monkeypatch):
    if ray.is_initialized():
        ray.shutdown()
    here = {"num_cpus": 5, "object_store_memory": STORE}  # room for one actor, and for both when one machine is left
    cluster = Cluster(initialize_head=True, head_node_args={**here, "include_dashboard": False})
    other = cluster.add_node(**here)
    ray.init(address=cluster.address, log_to_driver=False, logging_level="error")
    state = {"running": True}

    def kill() -> None:
        rows = pa.table({"node": [], "id": []})
        while state["running"] and other.node_id not in rows["node"].to_pylist():
            time.sleep(0.1)
            rows = readable(tmp_path / "vectors")
        state["rows"] = len(rows)
        cluster.remove_node(other, allow_graceful=False)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        prepare()
        monkeypatch.setattr(ray.data.DataContext.get_current(), "target_max_block_size", BLOCK)
        monkeypatch.setattr(wellread.ray, "EncodeBatch", Placed)
        vectors = wellread.ray.embed(read(texts), "body", concurrency=2, num_cpus=2, batch_size=40, precision="f32")
        wellread.ray.write_parquet(vectors, tmp_path / "vectors")
        state["running"] = False
        killer.join()
        assert 0 < state["rows"] < FILES * ROWS
        assert sum(node["Alive"] for node in ray.nodes()) == 1
        rows = written(tmp_path / "vectors")
        check_vectors(rows)
        assert len(set(rows["node"].to_pylist())) == 2
    finally:
        state["running"] = False
        killer.join()
        ray.shutdown()
        cluster.shutdown()
