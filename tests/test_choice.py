"""What is fastest is measured once, kept, heeded, and never trusted further than that."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest
from tiny import NATIVE, tiny_config, tiny_module

from wellread import choice
from wellread.backends.backend import is_installed, load_backend
from wellread.choice import Candidate, Choice, Measured, candidates, estimate, recorded
from wellread.errors import InputError
from wellread.text.plan import Batching

TEXTS = ["a man is playing the guitar .", "a cat sleeps", "paris , france !"] * 4


@pytest.fixture(autouse=True)
def own_place(monkeypatch, tmp_path):
    """A cache of its own, a process that knows nothing yet, and few texts that are many."""
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("WELLREAD_CHOICE", raising=False)
    monkeypatch.setattr("wellread.module.MANY", len(TEXTS))
    monkeypatch.setattr(choice, "BUSY", 1_000)  # however busy this machine is
    forget(monkeypatch)


def forget(monkeypatch):
    """Make this process as one that has just begun."""
    monkeypatch.setattr(choice, "_known", {})
    monkeypatch.setattr(choice, "_given_up", set())


@pytest.fixture
def module(tmp_path):
    return tiny_module(tmp_path / "module", config=tiny_config(**NATIVE), backend="auto")


@pytest.fixture
def no_measurement(monkeypatch):
    def measure(*arguments, **options):
        raise AssertionError("it was measured")

    return lambda: monkeypatch.setattr(choice, "measure", measure)


def files(tmp_path):
    return sorted((tmp_path / "cache" / "choices").glob("*.json"))


def rewrite(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def ways(module):
    return list(candidates(module.checkpoint, module.running()))


def test_it_is_measured_once_and_kept(module, tmp_path, monkeypatch, no_measurement):
    module.encode(TEXTS)
    [path] = files(tmp_path)
    [kept] = recorded()
    assert [each.candidate for each in kept.measured] == ways(module)
    assert all(each.rate > 0 and not each.note for each in kept.measured)
    assert kept.chosen in ways(module)
    assert (kept.setting.backend, kept.setting.precision) == (module.backend, module.running().precision)
    assert kept.setting.module == "bert, 3 layers of 96"
    no_measurement()
    module.encode(TEXTS)
    forget(monkeypatch)  # another process reads the file
    tiny_module(tmp_path / "twin", config=tiny_config(**NATIVE), backend="auto").encode(TEXTS)  # of the same shape
    assert files(tmp_path) == [path]


def test_few_texts_are_not_worth_it(module, tmp_path, no_measurement):
    no_measurement()
    module.encode(TEXTS[:-1])
    module.encode(TEXTS, output_value="token_embeddings")
    assert files(tmp_path) == []


@pytest.mark.parametrize("value", ["off", " OFF "])
def test_it_can_be_switched_off(module, tmp_path, monkeypatch, no_measurement, value):
    module.encode(TEXTS)
    [path] = files(tmp_path)
    forget(monkeypatch)
    monkeypatch.setenv("WELLREAD_CHOICE", value)
    no_measurement()
    monkeypatch.setattr(choice, "read", choice.measure)  # nor is the file read
    assert len(module.encode(TEXTS)) == len(TEXTS)
    assert files(tmp_path) == [path]


def test_what_a_user_names_is_taken(tmp_path, no_measurement):
    no_measurement()
    tiny = {"config": tiny_config(**NATIVE), "backend": "auto"}
    tiny_module(tmp_path / "a", **tiny).encode(TEXTS, precision="f32")
    tiny_module(tmp_path / "b", **tiny).encode(TEXTS, precision="exact")
    tiny_module(tmp_path / "c", config=tiny_config(**NATIVE), backend="openvino").encode(TEXTS)
    assert files(tmp_path) == []


def test_the_chosen_one_encodes_many_texts_and_them_alone(module, tmp_path, monkeypatch):
    vectors = module.encode(TEXTS)
    [path] = files(tmp_path)
    best = len(ways(module)) - 1

    def change(data):
        for number, each in enumerate(data["measured"]):
            each["gain"] = 9.0 if number == best else 1.0

    rewrite(path, change)
    forget(monkeypatch)
    default = module.running()
    chosen = module._running_for(len(TEXTS), None)
    assert (chosen.name, chosen.batching) == (ways(module)[best].backend, ways(module)[best].batching)
    assert chosen.precision == default.precision
    assert module._running_for(len(TEXTS) - 1, None) is default
    least = 0.02 if default.precision == "bf16" else 1e-5
    assert np.abs(module.encode(TEXTS) - vectors).max() < least


@pytest.mark.skipif(not is_installed("native"), reason="there is no native library here")
def test_another_backend_is_held_only_while_it_is_chosen(module, tmp_path, monkeypatch):
    module.encode(TEXTS)
    assert (module.backend, [way.backend for way in ways(module)][:2]) == ("native", ["native", "openvino"])
    [path] = files(tmp_path)
    for gain, name in ((9.0, "openvino"), (0.5, "native")):
        rewrite(path, lambda data: [each.update(gain=1.0) for each in data["measured"]])
        rewrite(path, lambda data: data["measured"][1].update(gain=gain))  # noqa: B023
        forget(monkeypatch)
        assert module._running_for(len(TEXTS), None).name == name
        assert list(module._others) == [name] * (name == "openvino")
    assert module.running().name == "native"


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "bytes": lambda path: path.write_bytes(b"\x00\xff" * 99),
    "empty": lambda path: path.write_bytes(b""),
    "list": lambda path: path.write_text("[]"),
    "null": lambda path: path.write_text("null"),
    "cpu": lambda path: rewrite(path, lambda data: data["setting"].update(cpu="another")),
    "key": lambda path: rewrite(path, lambda data: data.update(more=1)),
    "none": lambda path: rewrite(path, lambda data: data.update(measured=[])),
    "rate": lambda path: rewrite(path, lambda data: data["measured"][0].update(rate="fast")),
    "backend": lambda path: rewrite(path, lambda data: data["measured"][-1]["candidate"].update(backend="torch")),
    "tokens": lambda path: rewrite(path, lambda data: data["measured"][-1]["candidate"]["batching"].update(tokens=0)),
    "huge": lambda path: rewrite(path, lambda data: data["measured"][-1]["candidate"]["batching"].update(tokens=10**9)),
    "order": lambda path: rewrite(path, lambda data: data["measured"].reverse()),
}


def test_a_damaged_or_foreign_file_is_measured_anew(module, tmp_path, monkeypatch):
    module.encode(TEXTS)
    [path] = files(tmp_path)
    whole = path.read_bytes()
    for name, damage in DAMAGES.items():
        path.write_bytes(whole)
        damage(path)
        forget(monkeypatch)
        assert choice.read(choice.setting_of(module.checkpoint, module.running()), ways(module)) is None, name
    damaged = path.read_bytes()
    module.encode(TEXTS)
    assert files(tmp_path) == [path]
    assert path.read_bytes() != damaged
    assert len(recorded()) == 1


def test_without_a_cache_it_is_measured_once_in_a_process(module, tmp_path, monkeypatch, no_measurement):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("WELLREAD_CACHE", str(tmp_path / "file"))
    vectors = module.encode(TEXTS)
    no_measurement()
    least = 0.02 if module.running().precision == "bf16" else 1e-5
    assert np.abs(module.encode(TEXTS) - vectors).max() < least
    assert recorded() == []


def test_the_newest_files_are_kept(module, monkeypatch, tmp_path):
    monkeypatch.setattr(choice, "KEPT", 2)
    setting = choice.setting_of(module.checkpoint, module.running())
    measured = (Measured(candidate=ways(module)[0], rate=1.0, gain=1.0),)
    for cores in (1, 2, 3):
        choice.save(Choice(setting=replace(setting, cores=cores), measured=measured))
        for path in files(tmp_path):  # each is older than the next
            stamp = path.stat().st_mtime - 10
            choice.os.utime(path, (stamp, stamp))
    assert sorted(each.setting.cores for each in recorded()) == [2, 3]


def test_a_candidate_that_fails_is_noted_and_not_chosen(module, monkeypatch):
    def refuse(name, *arguments, **options):
        raise RuntimeError(f"{name} is out of order")

    monkeypatch.setattr(choice, "load_backend", refuse)
    default = module.running()
    others = [way for way in ways(module) if way.backend != default.name]
    module.encode(TEXTS)
    [kept] = recorded()
    assert [each.candidate for each in kept.measured if each.note] == others
    assert all(
        each.rate == each.gain == 0 and "RuntimeError: openvino is out of order" in each.note
        for each in kept.measured
        if each.note
    )
    assert kept.chosen.backend == default.name


def test_a_default_that_fails_says_so_itself(module, monkeypatch, tmp_path):
    def fail(*arguments, **options):
        raise RuntimeError("no room")

    monkeypatch.setattr(choice, "encode_rows", fail)
    assert len(module.encode(TEXTS)) == len(TEXTS)
    assert files(tmp_path) == []


def test_a_machine_that_is_too_busy_is_left_alone(module, monkeypatch, tmp_path, no_measurement):
    monkeypatch.setattr(choice, "BUSY", 1e-9)
    module.encode(TEXTS)
    no_measurement()
    module.encode(TEXTS)  # nor is it tried again
    assert files(tmp_path) == []


def test_threads_measure_once(module, monkeypatch):
    counts, measure = [], choice.measure

    def counted(*arguments, **options):
        counts.append(1)
        return measure(*arguments, **options)

    monkeypatch.setattr(choice, "measure", counted)
    results = []
    threads = [threading.Thread(target=lambda: results.append(module.encode(TEXTS))) for _ in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(counts) == 1
    assert all(np.abs(vectors - results[0]).max() < 1e-5 for vectors in results)


def test_a_large_module_is_measured_before_much_work_only(module):
    large = replace(
        module.checkpoint, config=tiny_config(hidden_size=1024, num_hidden_layers=24, intermediate_size=4096)
    )
    for checkpoint, texts, count in ((module.checkpoint, 2_000, 4), (large, 2_000, 0), (large, 10_000_000, 4)):
        limit, seconds = estimate(checkpoint, texts)
        assert (int(limit / (seconds * 3)) >= count) if count else (int(limit / (seconds * 3)) == 0)


@pytest.mark.parametrize(
    ("rounds", "gain", "faster"),
    [
        ([(9.0, 1.0), (1.0, 0.8), (1.2, 1.0)], 1.2, True),
        ([(1.0, 9.0), (1.0, 0.5), (1.0, 0.99)], 1.01, False),
        ([(1.0, 0.1), (1.0, 0.1), (1.0, 1.1)], 0.909, False),  # once it was slower: noise
        ([(1.0, 1.0), (1.0, 0.88), (1.0, 0.5)], 1.136, False),
    ],
)
def test_another_is_chosen_if_it_is_clearly_faster_in_every_round_but_the_first(module, rounds, gain, faster):
    default, other = (Candidate(backend=name, batching=Batching()) for name in ("native", "openvino"))
    seconds = {default: [first for first, _ in rounds], other: [second for _, second in rounds]}
    measured = tuple(choice._measured([default, other], seconds, {}, count=10))
    assert [each.gain for each in measured] == [1.0, gain]
    assert measured[1].rate == round(10 / min(seconds[other][1:]), 1)
    made = Choice(setting=choice.setting_of(module.checkpoint, module.running()), measured=measured)
    assert made.chosen == (other if faster else default)


def test_a_setting_is_of_shapes_not_of_weights(module, tmp_path, monkeypatch):
    def shape(checkpoint):
        return choice.setting_of(checkpoint, module.running()).shape

    own, config = shape(module.checkpoint), module.checkpoint.config
    assert shape(tiny_module(tmp_path / "2", config=config, seed=5).checkpoint) == own
    deeper = replace(config, num_hidden_layers=4)
    assert shape(replace(module.checkpoint, config=deeper)) != own
    sentence = replace(module.checkpoint.sentence, max_seq_length=31)
    assert shape(replace(module.checkpoint, sentence=sentence)) != own


def test_all_candidates_have_the_precision_of_the_default(module):
    for way in ways(module):
        assert load_backend(way.backend, module.checkpoint, precision=module.running().precision)
    assert len(set(ways(module))) == len(ways(module))


def test_a_module_on_another_backend_stays_there(tmp_path, no_measurement):
    no_measurement()
    module = tiny_module(tmp_path / "module", config=tiny_config(**NATIVE), backend="auto")
    module.backend = "numpy"
    assert module._running_for(len(TEXTS), None).name == "numpy"
    with pytest.raises(InputError):
        module.encode(TEXTS, precision="bf32")
