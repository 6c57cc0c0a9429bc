"""Which backend and which batches encode many texts fastest on this machine: measured once, kept in wellread's cache.

Speed depends on the processor, its cores and the shapes of a module, not on its weights, nor on which tokens a row
holds: modules of one shape share a measurement, and it is made on rows of random ids of one length, as they stand in
the batches of many texts. All candidates compute in the precision of the default. The cache decides nothing but speed:
a file that is damaged, or of another machine or version, is as good as none, and is written anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from wellread.backends.backend import (
    Backend,
    batching_of,
    check_served,
    is_installed,
    load_backend,
    precisions,
)
from wellread.backends.forks import was_started
from wellread.checkpoints.checkpoint import Checkpoint
from wellread.cores import cpu_count, cpu_name
from wellread.dataclass import dataclass
from wellread.encode import Packer, encode_rows
from wellread.errors import InputError, WellreadError
from wellread.files import UNREADABLE, cache_directory, load_json, save_json
from wellread.schema import record
from wellread.text.batch import Ragged, Template
from wellread.text.plan import Batching
from wellread.version import __version__

CHOICE = "WELLREAD_CHOICE"  # "off": nothing is measured, and nothing that was measured is heeded
BACKENDS = ("native", "openvino")  # what may be chosen; a module on another backend stays there
PRECISIONS = ("f32", "bf16")  # mean the same arithmetic in both; "int8" and "exact" do not
LENGTH, ROWS_A_CORE = 32, 64  # tokens of a row and rows of the sample: two batches for each core
MORE_TOKENS = 2_048  # another size of batches: one for each core
ROUNDS, FEWEST = 3, 2  # how often a candidate is timed, at best and at least; before that it runs once
SECONDS, SHARE = 1.0, 0.05  # a measurement takes no longer than this, or than this share of the work if that is more
BUSY = 3  # times the limit: what takes longer is given up, for others keep the machine busy
SPEED = 50e9  # multiplications and additions a second of one core, by which that is estimated: an AVX2 core's
GAIN = 1.15  # times as fast as the default is what another must be, for a measurement is no more exact than that
LARGE = 1_000_000_000  # bytes of weights, beside which no second backend is prepared
KEPT = 256  # measurements in the cache, the newest ones


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A way to encode many texts."""

    backend: str
    batching: Batching

    def __str__(self) -> str:
        """Say what is not usual about it.

        >>> str(Candidate(backend="openvino", batching=Batching(tokens=2048, streams=1)))
        'openvino (2,048 tokens a batch, streams: 1)'
        """
        usual, words = Batching(), []
        if self.batching.tokens != usual.tokens:
            words.append(f"{self.batching.tokens:,} tokens a batch")
        if self.batching.streams != usual.streams:
            words.append(f"streams: {self.batching.streams}")
        return f"{self.backend} ({', '.join(words)})" if words else self.backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A candidate and how fast it was."""

    candidate: Candidate
    rate: float  # rows of the sample a second, in the best round; 0: it failed
    gain: float  # times as fast as the default in the same round, in the round where that is least
    note: str = ""  # why it failed

    def __str__(self) -> str:
        """Name the candidate and its rate, or why there is none."""
        return f"{self.candidate} {f'failed: {self.note}' if self.note else f'{self.rate:,.0f}'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What a measurement holds for; all of it goes into the name of its file."""

    cpu: str
    cores: int
    backend: str  # the default
    precision: str  # of all candidates
    module: str  # in words
    shape: str  # SHA-256 of the module's configuration and the shapes of its tensors
    wellread: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The result of a measurement."""

    setting: Setting
    measured: tuple[Measured, ...]  # the default first

    @property
    def chosen(self) -> Candidate:
        """The fastest candidate, or the default where none was `GAIN` times as fast in every round."""
        best = max(self.measured, key=lambda each: each.gain)
        return best.candidate if best.gain > GAIN else self.measured[0].candidate


_measuring = threading.Lock()  # one thread measures, and others go on with the default
_known: dict[Setting, Choice] = {}  # to this process, which may have no cache
_given_up: set[Setting] = set()  # by this process


def fastest(
    checkpoint: Checkpoint, template: Template, default: Backend, *, texts: int, others: MutableMapping[str, Backend]
) -> Backend:
    """Return the backend that encodes so many texts fastest: `default`, or one of `others`, which it fills by name.

    What is not known is measured, unless that would take long beside the work.
    """
    off = os.environ.get(CHOICE, "").strip().lower() == "off"
    if off or default.name not in BACKENDS or default.precision not in PRECISIONS:
        return default
    if was_started("openvino"):  # before this process was forked: OpenVINO has one core here
        return default
    setting, ways = setting_of(checkpoint, default), tuple(candidates(checkpoint, default))
    choice = _known.get(setting) or read(setting, ways)
    limit, seconds = estimate(checkpoint, texts)
    ways = ways[: int(limit / (seconds * (1 + FEWEST)))]
    if choice is None and len(ways) > 1 and setting not in _given_up and _measuring.acquire(blocking=False):
        try:
            choice = measure(ways, checkpoint, template, default, others=others, limit=limit)
        finally:
            _measuring.release()
    if choice is None:
        others.clear()
        return default
    _known[setting] = choice
    chosen = choice.chosen
    return settle(chosen, prepared(chosen, checkpoint, default, others), others)


def setting_of(checkpoint: Checkpoint, default: Backend) -> Setting:
    """Say what a measurement of a module on this machine holds for."""
    shapes = {name: [tensor.dtype, *tensor.shape] for name, tensor in checkpoint.tensors.items()}
    sentence = replace(checkpoint.sentence, prompts={}, default_prompt_name=None)
    facts = [asdict(checkpoint.config), asdict(sentence), shapes]
    words = checkpoint.summary()
    return Setting(
        cpu=cpu_name(),
        cores=cpu_count(),
        backend=default.name,
        precision=default.precision,
        module=f"{words['family']}, {words['shape']}",
        shape=_hash(facts),
        wellread=__version__,
    )


def candidates(checkpoint: Checkpoint, default: Backend) -> Iterator[Candidate]:
    """Name the ways to encode many texts, the default first and then those that promise more."""
    small = sum(tensor.nbytes for tensor in checkpoint.tensors.values()) < LARGE
    names = [name for name in BACKENDS if name != default.name and small and _serves(name, checkpoint, default)]
    for name in (default.name, *names):
        yield Candidate(backend=name, batching=batching_of(name, default.precision))
    if "openvino" in (default.name, *names):  # the kernel plans its batches itself
        usual = batching_of("openvino", default.precision)
        yield Candidate(backend="openvino", batching=replace(usual, tokens=MORE_TOKENS))
        if cpu_count() > 1:
            yield Candidate(backend="openvino", batching=replace(usual, streams=cpu_count() // 2))


def _serves(name: str, checkpoint: Checkpoint, default: Backend) -> bool:
    """Say whether another backend computes a checkpoint in the precision of the default."""
    if not is_installed(name) or default.precision not in precisions(name, checkpoint):
        return False
    try:
        check_served(name, checkpoint)
    except InputError:
        return False
    return True


def estimate(checkpoint: Checkpoint, texts: int) -> tuple[float, float]:
    """Return how many seconds a measurement may take before so many texts, and how many its sample takes once."""
    config = checkpoint.config
    width = config.hidden_size
    weights = config.num_hidden_layers * width * (4 * width + 2 * config.intermediate_size)
    seconds = 2 * weights * LENGTH * ROWS_A_CORE / SPEED  # on all cores
    work = seconds * texts / (ROWS_A_CORE * cpu_count())
    return max(SECONDS, SHARE * work), seconds


def measure(
    ways: Sequence[Candidate],
    checkpoint: Checkpoint,
    template: Template,
    default: Backend,
    *,
    others: MutableMapping[str, Backend],
    limit: float,
) -> Choice | None:
    """Time candidates in turn, keep what came out, and return it; None where the default fails, or time runs out."""
    setting, packer = setting_of(checkpoint, default), Packer(template=template, sentence=checkpoint.sentence)
    rows = sample(checkpoint, max(1, min(LENGTH - template.overhead(), packer.room)), ROWS_A_CORE * setting.cores)
    seconds: dict[Candidate, list[float]] = {way: [] for way in ways}
    notes: dict[Candidate, str] = {}
    begun = time.perf_counter()

    def late(times: float) -> bool:
        return time.perf_counter() - begun > times * limit

    for turn in range(1 + ROUNDS):  # in the first, graphs are prepared: it does not count
        if turn > FEWEST and late(1):
            break
        for way in (way for way in ways if way not in notes and not late(BUSY)):
            try:
                backend = prepared(way, checkpoint, default, others)
                backend.batching = way.batching
                started = time.perf_counter()
                encode_rows(backend, rows, packer, advance=lambda count: None)
                seconds[way].append(time.perf_counter() - started)
            except Exception as error:  # whatever it is: the others serve
                notes[way] = f"{type(error).__name__}: {error}"
    default.settle(ways[0].batching)
    fewest = min(len(seconds[way]) for way in ways if way not in notes or way == ways[0])
    if ways[0] in notes or fewest <= FEWEST:  # its own call says why; this machine is too busy to tell
        _given_up.add(setting)
        return None
    choice = Choice(setting=setting, measured=tuple(_measured(ways, seconds, notes, count=len(rows))))
    save(choice)
    return choice


def _measured(
    ways: Sequence[Candidate],
    seconds: Mapping[Candidate, Sequence[float]],
    notes: Mapping[Candidate, str],
    *,
    count: int,
) -> Iterator[Measured]:
    """Sum up the seconds that a sample of `count` rows took in each round; the first round does not count."""
    for way in ways:
        if way in notes:
            yield Measured(candidate=way, rate=0.0, gain=0.0, note=notes[way])
            continue
        rounds = list(zip(seconds[ways[0]], seconds[way], strict=False))[1:]  # the last may have been broken off
        rate, gain = count / min(own for _, own in rounds), min(default / own for default, own in rounds)
        yield Measured(candidate=way, rate=round(rate, 1), gain=round(gain, 3))


def sample(checkpoint: Checkpoint, length: int, count: int) -> Ragged:
    """Return rows of random ids."""
    ids = np.random.default_rng(0).integers(0, checkpoint.config.vocab_size, count * length, np.int32)
    return Ragged(values=ids, splits=np.arange(count + 1, dtype=np.int64) * length)


def prepared(way: Candidate, checkpoint: Checkpoint, default: Backend, others: MutableMapping[str, Backend]) -> Backend:
    """Return the backend of a candidate."""
    if way.backend == default.name:
        return default
    if way.backend not in others:
        others[way.backend] = load_backend(way.backend, checkpoint, precision=default.precision)
    return others[way.backend]


def settle(way: Candidate, backend: Backend, others: MutableMapping[str, Backend]) -> Backend:
    """Return the backend of a candidate with its batches set, and let go of the others."""
    for name in [name for name in tuple(others) if name != way.backend]:
        others.pop(name, None)
    backend.settle(way.batching)
    return backend


def save(choice: Choice) -> None:
    """Keep a choice in wellread's cache, where that can be written, and the newest others."""
    with suppress(OSError, RuntimeError):
        path = _path(choice.setting)
        if save_json(path, asdict(choice)):
            files = sorted(path.parent.glob("*.json"), key=lambda file: file.stat().st_mtime, reverse=True)
            for file in files[KEPT:]:
                file.unlink()


def read(setting: Setting, ways: Sequence[Candidate]) -> Choice | None:
    """Return what was measured in a setting before; None where it was not, or does not read so."""
    try:
        choice = _read(_path(setting))
    except UNREADABLE:
        return None
    there = [] if choice is None else [each.candidate for each in choice.measured]
    of_these = there[:1] == [*ways[:1]] and set(there) <= set(ways)  # no file may have anything else run
    return choice if choice is not None and choice.setting == setting and of_these else None


def recorded() -> list[Choice]:
    """Return what was measured on this machine by this version, the newest first."""
    try:
        files = sorted((cache_directory() / "choices").glob("*.json"), key=os.path.getmtime, reverse=True)
        choices = [choice for choice in map(_read, files) if choice is not None and choice.measured]
    except UNREADABLE:
        return []
    return [each for each in choices if (each.setting.cpu, each.setting.wellread) == (cpu_name(), __version__)]


def _read(path: Path) -> Choice | None:
    try:
        return record(Choice, load_json(path), source=path)
    except (WellreadError, *UNREADABLE):
        return None


def _path(setting: Setting) -> Path:
    return cache_directory() / "choices" / f"{_hash(asdict(setting))}.json"


def _hash(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()
