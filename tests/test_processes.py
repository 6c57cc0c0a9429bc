"""A module that was loaded and used, in other processes and threads; each test has processes of its own and a limit."""

import copy
import os
import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from headed import headed_checkpoint
from near import NEEDS_NATIVE
from tiny import NATIVE, tiny_module, tiny_tokenizer

import wellread
from wellread.checkpoints.checkpoint import in_memory
from wellread.cores import cpu_count, cpu_quota
from wellread.errors import InputError
from wellread.formats.safetensors import read_safetensors
from wellread.module import Module

PROGRAM = Path(__file__).parent / "processes.py"
LIMIT = 110  # seconds


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("processes")
    module = Module(checkpoint=headed_checkpoint("classify"), tokenizer=tiny_tokenizer(place / "files"))
    module.save(place / "module")
    return place / "module"


@pytest.fixture(scope="module")
def native_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module that the native kernel computes."""
    place = tmp_path_factory.mktemp("native")
    checkpoint = headed_checkpoint("classify", sizes=NATIVE)
    Module(checkpoint=checkpoint, tokenizer=tiny_tokenizer(place / "files")).save(place / "module")
    return place / "module"


def run(what: str, directory: Path, backend: str) -> str:
    """Run a function of processes.py; what it writes on standard error comes back."""
    inherited = {
        name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"
    }  # all threads there are
    done = subprocess.run(
        [sys.executable, str(PROGRAM), what, str(directory), backend],
        env={**inherited, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "done\n"
    return done.stderr


slow = pytest.mark.slow


@NEEDS_NATIVE
@pytest.mark.parametrize("what", ["forks", "threads", "spawned", "pooled", "data_loader"])
def test_the_native_kernel_gives_the_same_bits_in_every_process_and_thread(native_directory: Path, what: str) -> None:
    assert run(what, native_directory, "native") == ""


@NEEDS_NATIVE
def test_a_native_module_goes_on_with_openvino_where_there_is_no_kernel(native_directory: Path, monkeypatch) -> None:
    module = wellread.load(native_directory)
    assert module.backend == "native"
    expected, data = module.encode(["a man"], precision="f32"), pickle.dumps(module)
    monkeypatch.setenv("WELLREAD_NATIVE", "off")
    other = pickle.loads(data)
    assert other.backend == "openvino"
    assert np.abs(other.encode(["a man"], precision="f32") - expected).max() < 1e-6


@pytest.mark.parametrize(
    "backend", ["openvino", "torch", "onnx", pytest.param("numpy", marks=slow), pytest.param("keras", marks=slow)]
)
def test_a_warmed_module_works_after_fork_and_the_child_ends(directory: Path, backend: str) -> None:
    said = run("forks", directory, backend)
    assert "TOKENIZERS_PARALLELISM" not in said
    assert ("the openvino backend computes instead" in said) == (backend == "keras")


@pytest.mark.parametrize("backend", ["openvino", pytest.param("torch", marks=slow), pytest.param("onnx", marks=slow)])
def test_sixteen_threads_and_forks_meanwhile(directory: Path, backend: str) -> None:
    run("threads", directory, backend)


@pytest.mark.parametrize("backend", ["openvino", pytest.param("tensorflow", marks=slow)])
def test_a_module_is_sent_to_a_spawned_process(directory: Path, backend: str) -> None:
    run("spawned", directory, backend)


def test_joblib_and_a_pool(directory: Path) -> None:
    run("pooled", directory, "openvino")


def test_workers_of_a_data_loader(directory: Path) -> None:
    run("data_loader", directory, "openvino")


@pytest.mark.parametrize("copied", [lambda m: pickle.loads(pickle.dumps(m)), copy.copy, copy.deepcopy])
def test_copies_of_a_used_module_compute_the_same(directory: Path, copied) -> None:
    module = wellread.load(directory)
    expected = module.encode(["a man"]), module(["a cat"]).pooled_output
    other = copied(module)
    assert not other._backends
    assert other.info() == module.info()
    assert repr(other) == repr(module)
    assert np.array_equal(other.encode(["a man"]), expected[0])
    assert np.array_equal(other(["a cat"]).pooled_output, expected[1])
    other.backend = "numpy"
    assert module.backend == "openvino"


def test_a_changed_module_prepares_a_backend_of_its_own(directory: Path) -> None:
    module = wellread.load(directory, backend="torch")
    exact = module.encode(["a man"], precision="f32")
    other = replace(module, backend="numpy")
    assert other.running().name == "numpy"
    assert module.running("f32").name == "torch"
    assert np.abs(other.encode(["a man"]) - exact).max() < 1e-6
    module.backend = "openvino"
    assert module.running("f32").name == "openvino"


def test_a_pickle_needs_no_directory_and_holds_no_cache(directory: Path, tmp_path: Path) -> None:
    wellread.load(directory).save(tmp_path / "there")
    module = wellread.load(tmp_path / "there", backend="numpy")
    expected, size = module.encode(["a man"]), len(pickle.dumps(module))
    module.tokenize([" ".join(f"unseen{i}" for i in range(5000))])
    data = pickle.dumps(module)
    assert len(data) == size
    for path in (tmp_path / "there").rglob("*.*"):
        path.unlink()
    assert np.array_equal(pickle.loads(data).encode(["a man"]), expected)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_a_pickled_tensor_keeps_its_type_and_size(directory: Path, tmp_path: Path, dtype: str) -> None:
    wellread.load(directory).save(tmp_path / "there", dtype=dtype)
    tensors = read_safetensors(tmp_path / "there/model.safetensors")
    for tensor in tensors.values():
        data = pickle.dumps(tensor)
        other = pickle.loads(data)
        assert (other.shape, other.dtype) == (tensor.shape, dtype)
        assert other.read().dtype == np.float32
        assert np.array_equal(other.read(), tensor.read())
        assert len(data) < tensor.read().size * np.dtype(dtype).itemsize + 500


def test_pickled_bfloat16_comes_back_bit_by_bit() -> None:
    array = (np.random.default_rng(0).normal(0, 1, (3, 7)).astype(np.float32).view(np.uint32) & 0xFFFF0000).view("f4")
    tensor = replace(in_memory({"a": array})["a"], dtype="bfloat16")
    other = pickle.loads(pickle.dumps(tensor))
    assert other.dtype == "bfloat16"
    assert np.array_equal(other.read(), array)


def test_a_module_in_memory_is_pickled_by_its_arrays(tmp_path: Path) -> None:
    module = tiny_module(tmp_path)
    assert np.array_equal(pickle.loads(pickle.dumps(module)).encode(["a man"]), module.encode(["a man"]))


V2 = {"proc/self/cgroup": "0::/kube/pod\n"}
V1 = {"proc/self/cgroup": "9:memory:/x\n4:cpu,cpuacct:/docker/ab\n0::/\n"}
V1_ROOT = "sys/fs/cgroup/cpu,cpuacct/docker/ab"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({}, None),
        (V2, None),
        ({**V2, "sys/fs/cgroup/kube/pod/cpu.max": "max 100000\n"}, None),
        ({**V2, "sys/fs/cgroup/kube/pod/cpu.max": "50000 100000\n"}, 0.5),
        # the stricter of a group and its parents holds
        ({**V2, "sys/fs/cgroup/kube/pod/cpu.max": "max 100000", "sys/fs/cgroup/kube/cpu.max": "150000 100000"}, 1.5),
        ({**V2, "sys/fs/cgroup/cpu.max": "300000 100000"}, 3.0),  # as a container sees its own group
        ({**V1, f"{V1_ROOT}/cpu.cfs_quota_us": "-1\n", f"{V1_ROOT}/cpu.cfs_period_us": "100000\n"}, None),
        ({**V1, f"{V1_ROOT}/cpu.cfs_quota_us": "200000\n", f"{V1_ROOT}/cpu.cfs_period_us": "100000\n"}, 2.0),
        ({**V1, "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "1", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "4"}, 0.25),
        ({**V2, "sys/fs/cgroup/kube/pod/cpu.max": "nonsense"}, None),
        ({"proc/self/cgroup": "\x00\n:::\n0::\n1:cpu\n"}, None),
    ],
)
def test_the_quota_of_a_cgroup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files, quota) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.delenv("WELLREAD_THREADS", raising=False)
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    assert cpu_quota(str(tmp_path)) == quota
    cores = cpu_count(tmp_path / "nowhere")
    assert cpu_count(tmp_path) == (min(cores, max(1, -int(-quota // 1))) if quota else cores)


@pytest.mark.parametrize(("value", "cores"), [("1", 1), ("1,4", 1), ("0", 1), ("", None), ("many", None), ("-1", None)])
def test_openmps_variable_bounds_the_cores(monkeypatch: pytest.MonkeyPatch, value: str, cores: int | None) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    all_cores = cpu_count()
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert cpu_count() == (cores or all_cores)


def test_our_own_variable_bounds_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    all_cores = cpu_count()
    for value, cores in {"1": 1, " 1 ": 1, "999": all_cores, "": all_cores}.items():
        monkeypatch.setenv("WELLREAD_THREADS", value)
        assert cpu_count() == cores
    for value in ("0", "-1", "many", "1.5", "²"):
        monkeypatch.setenv("WELLREAD_THREADS", value)
        with pytest.raises(InputError, match=f"WELLREAD_THREADS is a number of threads, at least 1; found '{value}'"):
            cpu_count()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_the_affinity_of_a_process_bounds_the_cores() -> None:
    core = min(os.sched_getaffinity(0))
    code = (
        f"import os; os.sched_setaffinity(0, [{core}])\n"
        "from wellread.doctor.examine import processor\n"
        "print(processor().cores)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "1\n", done.stderr
