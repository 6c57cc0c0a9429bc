"""FastText, the baseline of every small text classifier: trained on a file's examples, asked for labels."""

from __future__ import annotations

import math
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from wellread.backends.backend import give_back
from wellread.data.examples import Examples, LabelMap
from wellread.errors import ConfigError, DataError, InputError, TrainingError, TrainingWarning, require_extra
from wellread.tasks.registry import TASKS

PREFIX = "\1"  # how FastText knows a label from a word: a character that no text keeps
APART = {0: " ", 1: " "}  # what FastText would part words at, or take for a label
END = "</s>"  # what FastText takes for the end of a line wherever it stands
# On one core FastText fills a tenth of its table and leaves the rest as it is handed out. Fresh pages are zeros: more
# than 32 MiB of float32 have them once freed memory has gone back to the system. Other memory holds whatever stood
# there before, which may be NaN and differs from run to run.
LEAST_NUMBERS = 8 * 2**20
BETWEEN = "|||"  # stands between the two texts of a pair
# What `tune_fasttext` tries, a row each: letters of n-grams, words of n-grams, numbers of a vector, epochs, rate.
GRID_SETTINGS = ("minn", "maxn", "word_ngrams", "dim", "epoch", "lr")
GRID = (
    (2, 5, 2, 16, 5, 0.1),
    (2, 4, 2, 16, 5, 0.1),
    (1, 4, 2, 16, 5, 0.1),
    (3, 6, 2, 16, 5, 0.1),
    (0, 0, 2, 16, 5, 0.1),
    (2, 5, 1, 16, 5, 0.1),
    (2, 5, 3, 16, 5, 0.1),
    (2, 5, 2, 32, 5, 0.1),
    (2, 5, 2, 16, 10, 0.05),
    (2, 5, 3, 32, 10, 0.05),
    (2, 5, 2, 16, 20, 0.5),
)
HELD_OUT = 0.1  # of the training rows, on which they are compared
SUBVECTOR = 2  # numbers of a vector that one byte of its quantised form stands for: FastText's own choice
FEWEST_ROWS = 256  # that FastText can quantise
SOFT = "labels are soft, and FastText learns one of each text: the likeliest stands for its row"


@dataclass(frozen=True, slots=True, kw_only=True)
class FastTextConfig:
    """How the baseline is trained where no grid chooses: FastText's defaults, but with n-grams of words and letters.

    Chosen on rows of NSMC's training file that were held out: n-grams of letters gain 8 points there, and 16 numbers a
    word are as good as FastText's 100, at a sixth of the size.
    """

    dim: Annotated[int, "numbers of a vector"] = 16
    word_ngrams: Annotated[int, "words of the longest n-gram of words"] = 2
    minn: Annotated[int, "letters of the shortest n-gram of letters; 0: no such n-grams"] = 2
    maxn: Annotated[int, "letters of the longest n-gram of letters"] = 5
    bucket: Annotated[int, "rows that all n-grams share"] = 2_000_000
    epoch: Annotated[int, "times that FastText sees every row"] = 5
    lr: Annotated[float, "learning rate at the beginning"] = 0.1
    seed: Annotated[int, "seed of FastText"] = 0

    def __post_init__(self) -> None:
        """Refuse what FastText would crash on, or what would not repeat."""
        positive = {name: value for name, value in asdict(self).items() if name not in ("minn", "maxn", "seed")}
        bad = [f"{name} of {value}" for name, value in positive.items() if not value > 0]
        if bad or not 0 <= self.minn <= self.maxn:
            raise ConfigError(
                f"a FastText baseline was asked for; found {', '.join(bad) or f'minn {self.minn}, maxn {self.maxn}'}; "
                "give numbers above 0, and a minn from 0 to maxn"
            )
        numbers = self.bucket * self.dim if self.word_ngrams > 1 or self.maxn else 0
        if numbers <= LEAST_NUMBERS:
            raise ConfigError(
                f"a FastText baseline that repeats was asked for; found a bucket of {self.bucket} with dim {self.dim}, "
                f"word_ngrams {self.word_ngrams} and maxn {self.maxn}: {numbers} numbers for n-grams; FastText "
                f"clears no table of {LEAST_NUMBERS} or fewer; give a larger bucket, and n-grams of words or letters"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FastText:
    """A trained baseline."""

    labels: tuple[str, ...]
    config: FastTextConfig
    parameters: int
    size_bytes: int  # of its file, the words included
    seconds: float  # that the training took
    model: Any
    precision: str = "f32"  # or "pq8": 8-bit codes of a product quantiser

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[str]:
        """Return the label of each of N texts, or of each pair."""
        rows, _ = self.model.predict(list(_lines(texts, pairs)), k=1)
        return [self.labels[int(row[0].removeprefix(PREFIX))] for row in rows]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Settings that were tried."""

    settings: Mapping[str, float]
    accuracy: float | None  # on the rows held out; None where FastText gave up


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuned:
    """The best settings of a grid."""

    config: FastTextConfig
    held_out: int  # rows
    trials: tuple[Trial, ...] = ()
    retrain: bool = True  # whether the quantised form is trained once more before its numbers become bytes
    quantised: tuple[Trial, ...] = ()  # without and with that


def tune_fasttext(
    examples: Examples,
    *,
    task: str = "classify",
    config: FastTextConfig | None = None,
    grid: Sequence[tuple[float, ...]] = GRID,
) -> Tuned:
    """Choose the settings of a grid that label a tenth of the examples best, trained on the others.

    Which rows are held out is drawn from the seed of `config`, which keeps its `bucket` too. Of equals the first is
    chosen. The rows of `grid` are in the order of `GRID_SETTINGS`.

    Raises: as `train_fasttext`; TrainingError where FastText gives up on all settings.
    """
    config = config or FastTextConfig()
    refuse_task(task)
    _labels(task, examples)
    held, rest = _held_out(examples, config.seed)
    trials, best, chosen, error = [], -1.0, None, None
    for row in grid:
        settings = dict(zip(GRID_SETTINGS, row, strict=True))
        tried = replace(config, **settings)  # type: ignore[arg-type]
        try:
            accuracy = _accuracy(_trained(rest, task, tried), held)
        except TrainingError as caught:
            error = caught
            trials.append(Trial(settings=settings, accuracy=None))
            continue
        trials.append(Trial(settings=settings, accuracy=accuracy))
        if accuracy > best:
            best, chosen = accuracy, tried
    if chosen is None:
        raise TrainingError(
            f"FastText was to be trained with {len(grid)} settings; it gave up on all of them; give other settings, or "
            "more text"
        ) from error
    return Tuned(config=chosen, held_out=len(held), trials=tuple(trials))


def tune_quantised(examples: Examples, tuned: Tuned, *, task: str = "classify", megabytes: float = 2.0) -> Tuned:
    """Choose on the same held-out rows whether the quantised form is trained once more; see `quantise_fasttext`.

    Raises: as `train_fasttext` and `quantise_fasttext`.
    """
    held, rest = _held_out(examples, tuned.config.seed)
    full = _trained(rest, task, tuned.config)
    trials = [
        Trial(
            settings={"retrain": retrain},
            accuracy=_accuracy(quantise_fasttext(full, rest, megabytes=megabytes, retrain=retrain), held),
        )
        for retrain in (False, True)
    ]
    plain, again = (trial.accuracy or 0.0 for trial in trials)
    return replace(tuned, retrain=again > plain, quantised=tuple(trials))


def _held_out(examples: Examples, seed: int) -> tuple[Examples, Examples]:
    """Return the rows that settings are compared on, and the others."""
    order = np.random.default_rng(seed).permutation(len(examples)).tolist()
    count = max(1, round(HELD_OUT * len(examples)))
    return examples.part(order[:count]), examples.part(order[count:])


def _accuracy(baseline: FastText, examples: Examples) -> float:
    guesses = baseline.predict(examples.texts, examples.pairs)
    return sum(a == b for a, b in zip(guesses, examples.labels or [], strict=True)) / len(examples)


def train_fasttext(examples: Examples, *, task: str = "classify", config: FastTextConfig | None = None) -> FastText:
    """Train FastText on labelled texts or pairs, on one core, so that the same examples give the same model.

    Texts are one line each, their words parted at white space; a label goes in as its number, so that any will do. Of
    soft labels it learns the likeliest, and a TrainingWarning says so.
    Source: Joulin et al., Bag of Tricks for Efficient Text Classification, 2016.

    Raises: MissingExtra without fasttext; InputError for a task without one label a text; DataError for examples that
    do not fit the task; TrainingError where FastText gives up.

    >>> from wellread.data.examples import take_examples
    >>> rows = [{"text": "good film", "y": "yes"}, {"text": "bad film", "y": "no"}] * 200
    >>> train_fasttext(take_examples(rows, label="y")).predict(["a good one", "a bad one"])
    ['yes', 'no']
    """
    baseline = _trained(examples, task, config or FastTextConfig())
    with tempfile.TemporaryDirectory() as directory:
        baseline.model.save_model(str(saved := Path(directory) / "model.bin"))
        return replace(baseline, size_bytes=saved.stat().st_size)


def _trained(examples: Examples, task: str, config: FastTextConfig) -> FastText:
    """Train FastText, and leave out how large its file is: to write it takes as long as a short training."""
    require_extra("fasttext", extra="fasttext")
    refuse_task(task)
    labels = _labels(task, examples)
    if examples.soft_labels is not None:
        warnings.warn(SOFT, TrainingWarning, stacklevel=2)
    settings = {**asdict(config), "wordNgrams": config.word_ngrams, "label": PREFIX, "thread": 1, "verbose": 0}
    del settings["word_ngrams"]
    with tempfile.TemporaryDirectory() as directory:
        file = _written(examples, labels, Path(directory))
        give_back()  # a table in freed memory would begin with what lies there
        start = time.perf_counter()
        try:
            model = import_module("fasttext").train_supervised(str(file), **settings)
        except (RuntimeError, ValueError) as error:
            raise TrainingError(
                f"FastText was to be trained with {asdict(config)}; it gave up: {error}; give a smaller lr, or more "
                "text"
            ) from error
        seconds = time.perf_counter() - start
    return FastText(
        labels=labels.names,
        config=config,
        parameters=model.get_input_matrix().size + model.get_output_matrix().size,
        size_bytes=0,
        seconds=seconds,
        model=model,
    )


def quantise_fasttext(
    baseline: FastText, examples: Examples, *, megabytes: float = 2.0, retrain: bool = True
) -> FastText:
    """Return a baseline cut down to a file of about `megabytes`; `examples` are those that it was trained on.

    The rows of its table with the largest norms stay, as many as there is room for; with `retrain` they are trained
    once more with the settings they had; then each pair of numbers becomes one byte. Source: Joulin et al.,
    FastText.zip, 2016.

    Raises: DataError for a size that leaves FastText too few rows to quantise.
    """
    rows = kept_rows(baseline, megabytes)
    if rows < FEWEST_ROWS:
        raise DataError(
            f"a quantised FastText of {megabytes} MB was asked for; it has room for {rows} rows of the table, and "
            f"FastText quantises {FEWEST_ROWS} or more; ask for a larger one, or for 0: none"
        )
    config = baseline.config
    with tempfile.TemporaryDirectory() as directory:
        file = _written(examples, LabelMap(names=baseline.labels), Path(directory))
        baseline.model.save_model(str(saved := Path(directory) / "model.bin"))
        model = import_module("fasttext").load_model(str(saved))  # for to quantise is to change a model in place
        start = time.perf_counter()
        # The method of the same name would put its own words on the screen.
        model.f.quantize(str(file), False, rows, retrain, config.epoch, config.lr, 1, 0, SUBVECTOR, True)
        seconds = time.perf_counter() - start
        model.save_model(str(small := Path(directory) / "model.ftz"))
        return replace(
            baseline,
            parameters=rows * config.dim + baseline.model.get_output_matrix().size,
            size_bytes=small.stat().st_size,
            seconds=baseline.seconds + seconds,
            model=model,
            precision="pq8",
        )


def kept_rows(baseline: FastText, megabytes: float) -> int:
    """Return how many rows of the table a quantised file of `megabytes` has room for, those of the largest norms first.

    A row is a byte for each `SUBVECTOR` numbers and one for its norm; a word's has the word beside it, its count and
    its kind, another's an entry in the index of those that are left.
    """
    table, words = baseline.model.get_input_matrix(), baseline.model.get_words()
    codes = math.ceil(baseline.config.dim / SUBVECTOR) + 1
    bytes_of = np.full(len(table), codes + 8, np.int64)
    bytes_of[: len(words)] = [codes + len(word.encode()) + 10 for word in words]
    books = 4 * 256 * (baseline.config.dim + 1) + 4 * baseline.model.get_output_matrix().size
    norms = np.linalg.norm(table, axis=1)
    return int(np.searchsorted(np.cumsum(bytes_of[np.argsort(-norms, kind="stable")]), 1e6 * megabytes - books))


def refuse_task(task: str) -> None:
    """Refuse a task that has no label a text. Raises: InputError."""
    fitting = [name for name, row in TASKS.items() if row.target == "labels"]
    if task not in fitting:
        raise InputError(
            f"a FastText baseline was asked for the task {task!r}; it gives a label a text, which is "
            f"{' or '.join(fitting)}; leave it out"
        )


def _labels(task: str, examples: Examples) -> LabelMap:
    """Return the labels of the examples, which must be two or more."""
    labels = set(examples.labels or [])
    missing = "no pairs" if task == "pair" and examples.pairs is None else None
    if missing or len(labels) < 2:
        raise DataError(
            f"{len(examples)} examples of {examples.source} were to train FastText for {task}; found "
            f"{missing or f'{len(labels)} labels'}; name the columns of a file with texts and two labels or more"
        )
    return LabelMap.of(labels)


def _written(examples: Examples, labels: LabelMap, directory: Path) -> Path:
    """Write examples as FastText reads them, the label's number before the text."""
    file = directory / "examples.txt"
    rows = zip(labels.ids(examples.labels or []), _lines(examples.texts, examples.pairs), strict=True)
    file.write_text("".join(f"{PREFIX}{label} {text}\n" for label, text in rows), "utf-8")
    return file


def _lines(texts: Sequence[str], pairs: Sequence[str] | None) -> Iterator[str]:
    if pairs is None:
        return map(_line, texts)
    return (f"{_line(text)} {BETWEEN} {_line(pair)}" for text, pair in zip(texts, pairs, strict=True))


def _line(text: str) -> str:
    """Write a text as FastText reads it: one line, in which no word ends it or is a label.

    >>> _line("it ends" + chr(10) + " here </s> or</s> not")
    'it ends here or</s> not'
    """
    words = text.encode(errors="replace").decode().translate(APART).split()
    return " ".join(word for word in words if word != END)
