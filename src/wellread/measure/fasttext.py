"""FastText, the baseline of every small text classifier: trained on a file's examples, asked for labels."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

from wellread.backends.backend import give_back
from wellread.data.examples import Examples, LabelMap
from wellread.errors import ConfigError, DataError, InputError, TrainingError, require_extra
from wellread.tasks.registry import TASKS

PREFIX = "\1"  # how FastText knows a label from a word: a character that no text keeps
APART = {0: " ", 1: " "}  # what FastText would part words at, or take for a label
END = "</s>"  # what FastText takes for the end of a line wherever it stands
# On one core FastText fills a tenth of its table and leaves the rest as it is handed out. Fresh pages are zeros: more
# than 32 MiB of float32 have them once freed memory has gone back to the system. Other memory holds whatever stood
# there before, which may be NaN and differs from run to run.
LEAST_NUMBERS = 8 * 2**20
BETWEEN = "|||"  # stands between the two texts of a pair


@dataclass(frozen=True, slots=True, kw_only=True)
class FastTextConfig:
    """How the baseline is trained: FastText's own defaults, but with n-grams of words and of letters, and 16 numbers.

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

    def predict(self, texts: Sequence[str], pairs: Sequence[str] | None = None) -> list[str]:
        """Return the label of each of N texts, or of each pair."""
        rows, _ = self.model.predict(list(_lines(texts, pairs)), k=1)
        return [self.labels[int(row[0].removeprefix(PREFIX))] for row in rows]


def train_fasttext(examples: Examples, *, task: str = "classify", config: FastTextConfig | None = None) -> FastText:
    """Train FastText on labelled texts or pairs, on one core, so that the same examples give the same model.

    Texts are one line each, their words parted at white space; a label goes in as its number, so that any will do.
    Source: Joulin et al., Bag of Tricks for Efficient Text Classification, 2016.

    Raises: MissingExtra without fasttext; InputError for a task without one label a text; DataError for examples that
    do not fit the task; TrainingError where FastText gives up.

    >>> from wellread.data.examples import take_examples
    >>> rows = [{"text": "good film", "y": "yes"}, {"text": "bad film", "y": "no"}] * 200
    >>> train_fasttext(take_examples(rows, label="y")).predict(["a good one", "a bad one"])
    ['yes', 'no']
    """
    require_extra("fasttext", extra="fasttext")
    refuse_task(task)
    labels, config = _labels(task, examples), config or FastTextConfig()
    settings = {**asdict(config), "wordNgrams": config.word_ngrams, "label": PREFIX, "thread": 1, "verbose": 0}
    del settings["word_ngrams"]
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "examples.txt"
        rows = zip(labels.ids(examples.labels or []), _lines(examples.texts, examples.pairs), strict=True)
        file.write_text("".join(f"{PREFIX}{label} {text}\n" for label, text in rows), "utf-8")
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
        model.save_model(str(saved := Path(directory) / "model.bin"))
        return FastText(
            labels=labels.names,
            config=config,
            parameters=model.get_input_matrix().size + model.get_output_matrix().size,
            size_bytes=saved.stat().st_size,
            seconds=seconds,
            model=model,
        )


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
