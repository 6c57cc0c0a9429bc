"""What decides a search for a small module, as frozen data: the bounds, the grid of shapes, the training."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from wellread.errors import ConfigError, nearest
from wellread.learn.settings import OBJECTIVES, PRECISIONS

SIZES = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}  # bytes
RATES = {"/s": 1.0, "/min": 1 / 60, "/h": 1 / 3600}  # a second
TIMES = {"s": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}  # seconds
QUANTITY = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?|\.[0-9]+)\s*(\S*)\s*")
DTYPES = ("float32", "float16", "int8")  # the most exact first
OPTIONS = ("teacher", "trimmed")  # vocabularies by name; others are numbers of pieces


def quantity(text: str, units: Mapping[str, float], what: str) -> float:
    """Read a number with its unit. Raises: ConfigError that names the units.

    >>> quantity("10MB", SIZES, "max_size"), quantity("1.5 h", TIMES, "budget"), quantity("500/s", RATES, "min_speed")
    (10000000.0, 5400.0, 500.0)
    """
    match = QUANTITY.fullmatch(text)
    number, unit = (float(match[1]), match[2]) if match else (0.0, text)
    if match is None or unit not in units or number <= 0:
        example = next(iter(units))
        found = f"the unit {unit!r}" if match and unit and unit not in units else f"{text!r}"
        hint = nearest(unit, units) if match and unit else ""
        raise ConfigError(
            f"{what} is a number above 0 with a unit of {', '.join(units)}; found {found}{hint}; write 10{example}"
        )
    return number * units[unit]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What a module must keep; None: no such bound."""

    max_size: int | None = None  # bytes of its directory, as saved
    min_speed: float | None = None  # texts a second on this machine, all its cores
    keep: float | None = None  # share of the teacher's score

    def broken(self, *, size_bytes: float, speed: float | None = None, share: float | None = None) -> list[str]:
        """Say which bounds do not hold; what is None is not looked at.

        >>> Bounds(max_size=10_000_000, keep=0.98).broken(size_bytes=12_300_000, share=0.99)
        ['12.3 MB, over 10.0 MB']
        """
        faults = []
        if self.max_size is not None and size_bytes > self.max_size:
            faults.append(f"{megabytes(size_bytes)}, over {megabytes(self.max_size)}")
        if self.min_speed is not None and speed is not None and speed < self.min_speed:
            faults.append(f"{speed:,.0f} texts/s, under {self.min_speed:,.0f}")
        if self.keep is not None and share is not None and share < self.keep:
            faults.append(f"{share:.2%} of the teacher's score, under {self.keep:.2%}")
        return faults


def megabytes(size_bytes: float) -> str:
    """Write a size in units of 1,000,000 bytes.

    >>> megabytes(11_050_432), megabytes(61_234)
    ('11.1 MB', '0.061 MB')
    """
    return f"{size_bytes / 1e6:,.1f} MB" if size_bytes >= 1e6 else f"{size_bytes / 1e6:.3f} MB"


@dataclass(frozen=True, slots=True, kw_only=True)
class ShrinkConfig:
    """How a small module is looked for: its bounds, the shapes that are tried, and their training."""

    max_size: Annotated[str, "bytes of the module's directory, at most, as 10MB; empty: any"] = ""
    min_speed: Annotated[str, "texts a second on this machine, all its cores, as 500/s; empty: any"] = ""
    keep: Annotated[
        float, "share of the teacher's score; the smallest that keeps it is taken; 0: the best score is"
    ] = 0.0
    budget: Annotated[str, "time of the whole search, as 2h; it decides the steps"] = "1h"
    max_steps: Annotated[int, "steps of the one that trains to the end, at most; 0: what the budget allows"] = 0
    candidates: Annotated[int, "shapes that are trained"] = 9
    eta: Annotated[int, "of so many candidates one trains on, for as many times the steps (Hyperband)"] = 3
    layers: Annotated[str, "numbers of layers that shapes may have, up to the teacher's"] = "1, 2, 3, 4, 6, 8, 12"
    widths: Annotated[str, "hidden sizes; multiples of 32, or below it"] = "128, 192, 256, 320, 384, 512, 768"
    vocabularies: Annotated[
        str, "teacher: its own; trimmed: the pieces that the texts use; a number: about as many, the commonest"
    ] = "teacher, trimmed, 8000, 4000"
    dtypes: Annotated[str, "how weights may be stored: float32, float16, int8"] = "float16, int8"
    objective: Annotated[str, "of pre-training: mlm or electra"] = "mlm"
    split: Annotated[bool, "plain texts of files are cut into sentences of 4 to 90 words"] = False
    max_seq_length: Annotated[int, "tokens of a row, special ones included; the module has as many positions"] = 128
    per_device_train_batch_size: Annotated[int, "rows of a batch, in every stage"] = 32
    # rates and schedule: google-research/bert's README for the 24 small BERTs, and proofs/sst2.sh, nsmc.sh
    # the rate of a student that begins with layers of the teacher's is 0.3 of these: training.TAKEN_RATE
    pretrain_learning_rate: Annotated[float, "peak, on plain text and attention relations"] = 1e-3
    distill_learning_rate: Annotated[float, "peak, on soft labels and sentence vectors"] = 1e-3
    finetune_learning_rate: Annotated[float, "peak, on labelled rows"] = 3e-4
    finetune_epochs: Annotated[float, "times that the labelled rows are seen in a rung, at most"] = 4.0
    teacher_epochs: Annotated[int, "of a base that is fine-tuned to be the teacher"] = 3
    teacher_learning_rate: Annotated[float, "peak, of that"] = 5e-5
    held_out: Annotated[float, "share of the labelled rows, or of texts, to score on where there are no others"] = 0.1
    speed_texts: Annotated[int, "texts that speed is measured on, at most"] = 1_000
    bf16: Annotated[str, "autocast to bfloat16 in training: true, false or auto"] = "auto"
    seed: Annotated[int, "of everything drawn at random"] = 0
    save_steps: Annotated[int, "a checkpoint every so many steps, from which a killed search goes on"] = 200

    def __post_init__(self) -> None:
        """Refuse what no search can be made of."""
        sound = {
            "keep": self.keep >= 0,
            "max_steps": self.max_steps >= 0,
            "candidates": self.candidates >= 1,
            "eta": self.eta >= 2,
            "max_seq_length": self.max_seq_length >= 5,
            "per_device_train_batch_size": self.per_device_train_batch_size >= 1,
            "finetune_epochs": self.finetune_epochs > 0,
            "teacher_epochs": self.teacher_epochs >= 1,
            "held_out": 0 < self.held_out < 1,
            "speed_texts": self.speed_texts >= 1,
            "save_steps": self.save_steps >= 1,
        }
        faults = [f"{name} of {getattr(self, name)}" for name, is_sound in sound.items() if not is_sound]
        if faults:
            raise ConfigError(
                f"a small module was to be looked for; found {'; '.join(faults)}; candidates, epochs and the numbers "
                "of rows, texts and steps are at least 1, eta at least 2, max_seq_length at least 5, held_out above "
                "0 and below 1"
            )
        for name, known in (("bf16", PRECISIONS), ("objective", OBJECTIVES)):
            if (value := getattr(self, name)) not in known:
                raise ConfigError(
                    f"{name} is one of {', '.join(known)}; found {value!r}{nearest(value, known)}; choose one"
                )
        _ = (
            self.bounds,
            self.budget_seconds,
            self.layer_counts,
            self.hidden_sizes,
            self.stored_as,
            self.vocabulary_names,
        )

    @property
    def bounds(self) -> Bounds:
        """The bounds as numbers."""
        return Bounds(
            max_size=round(quantity(self.max_size, SIZES, "max_size")) if self.max_size else None,
            min_speed=quantity(self.min_speed, RATES, "min_speed") if self.min_speed else None,
            keep=self.keep or None,
        )

    @property
    def budget_seconds(self) -> float:
        """The time of the whole search."""
        return quantity(self.budget, TIMES, "budget")

    @property
    def layer_counts(self) -> list[int]:
        """Numbers of layers, the least first."""
        return _numbers("layers", self.layers)

    @property
    def hidden_sizes(self) -> list[int]:
        """Hidden sizes, the least first."""
        widths = _numbers("widths", self.widths)
        odd = [str(width) for width in widths if width > HEAD and width % HEAD]
        if odd:
            raise ConfigError(
                f"widths are multiples of {HEAD}, for heads of {HEAD} or {WIDE_HEAD}; found {', '.join(odd)}; choose "
                "others"
            )
        return widths

    @property
    def stored_as(self) -> list[str]:
        """The types of weights, the most exact first."""
        return sorted(_names("dtypes", self.dtypes, DTYPES), key=DTYPES.index)

    @property
    def vocabulary_names(self) -> list[str]:
        """The options of the vocabulary."""
        names = [part.strip().replace("_", "") for part in self.vocabularies.split(",") if part.strip()]
        named = [name for name in names if not name.isdecimal()]
        if named == names:  # or there are none at all
            return _names("vocabularies", self.vocabularies, OPTIONS)
        known = _names("vocabularies", ", ".join(named), OPTIONS) if named else []
        return [*known, *(name for name in names if name.isdecimal())]


HEAD, WIDE_HEAD, WIDE = 32, 64, 512  # the width of a head, below and from a hidden size of 512


def heads_of(width: int) -> int:
    """Return the attention heads of a hidden size: of width 32, of 64 from 512 on; below 32 there is one.

    >>> [heads_of(width) for width in (8, 128, 384, 512, 768)]
    [1, 4, 12, 8, 12]
    """
    return max(1, width // (WIDE_HEAD if width >= WIDE and width % WIDE_HEAD == 0 else HEAD))


def _numbers(what: str, text: str) -> list[int]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise ConfigError(f"{what} are whole numbers above 0 with commas between; found {text!r}; correct them")
    return sorted({int(part) for part in parts})


def _names(what: str, text: str, known: tuple[str, ...]) -> list[str]:
    names = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    unknown = [f"{name!r}{nearest(name, known)}" for name in names if name not in known]
    if unknown or not names:
        raise ConfigError(f"{what} are of {', '.join(known)}; found {', '.join(unknown) or 'none'}; name some of them")
    return names
