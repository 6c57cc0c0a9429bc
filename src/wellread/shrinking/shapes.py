"""The candidates: shapes whose size follows from their tensors and whose speed from their multiply-adds."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product

from wellread.checkpoints.checkpoint import Checkpoint
from wellread.config import EncoderConfig, HeadConfig
from wellread.errors import ConfigError
from wellread.measure.speed import spread
from wellread.module import Module
from wellread.quantising.calibrate import units_of
from wellread.shrinking.settings import DTYPES, Bounds, ShrinkConfig, megabytes
from wellread.shrinking.students import Layout, Shape, takes_layers

BYTES = {"float32": 4, "float16": 2, "int8": 2}  # of a number that is no int8 matrix's: the rest of those is float16
SCALE = 4  # bytes of the scale of a row, or of an input
INT8_NOTES = 800  # bytes of what wellread.json and the card of an int8 module say of it
SPEED_SLACK = 0.8  # of the bound: what is predicted below it is not tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A shape that may be trained, as it would be stored."""

    name: str
    num_hidden_layers: int
    hidden_size: int
    vocabulary: str
    pieces: int  # of the vocabulary
    dtype: str
    parameters: int
    size_bytes: int  # predicted, of the whole directory
    multiply_adds: int  # of a text of the usual length
    speed: float | None = None  # predicted, texts a second; None where nothing was measured

    def shape(self, max_seq_length: int) -> Shape:
        """Return the shape alone."""
        return Shape(
            num_hidden_layers=self.num_hidden_layers, hidden_size=self.hidden_size, max_seq_length=max_seq_length
        )


def candidate_name(layers: int, width: int, vocabulary: str, dtype: str) -> str:
    """Name a candidate, and its directory.

    >>> candidate_name(4, 256, "trimmed", "int8")
    'L-4_H-256-trimmed-int8'
    """
    return f"L-{layers}_H-{width}-{vocabulary}-{dtype}"


def multiply_adds(config: EncoderConfig, tokens: float) -> int:
    """Return the multiplications, each with its addition, of an encoder on a text of so many tokens.

    >>> config = EncoderConfig(vocab_size=99, hidden_size=8, num_hidden_layers=2, num_attention_heads=2,
    ...                        intermediate_size=32)
    >>> multiply_adds(config, 10)
    18560
    """
    width, inner = config.hidden_size, config.intermediate_size
    layer = tokens * (4 * width**2 + 2 * width * inner) + 2 * tokens**2 * width
    projection = tokens * config.embedding_width * width if config.has_projection else 0
    return round(config.num_hidden_layers * layer + projection)


def int8_names(checkpoint_family: str, config: EncoderConfig) -> dict[str, bool]:
    """Return the matrices that become int8, and whether each is a table, which has no scales of inputs."""
    stub = Checkpoint(family=checkpoint_family, config=config, tensors={})
    return {name: unit.is_table for unit in units_of(stub) for name in unit.tensors}


def stored_bytes(layout: Layout, dtype: str, family: str) -> int:
    """Return the bytes of a module's tensors and of what names them."""
    tables = int8_names(family, layout.config) if dtype == "int8" else {}
    size = INT8_NOTES if tables else 0
    entries: dict[str, tuple[int, ...]] = {}
    for name, shape in layout.shapes.items():
        count = math.prod(shape)
        if name in tables:
            scales = {"weight_scale": shape[:1]} | ({} if tables[name] else {"input_scale": shape[1:]})
            size += count + SCALE * sum(each[0] for each in scales.values())
            entries |= {f"{name.removesuffix('.weight')}.{scale}": each for scale, each in scales.items()}
        else:
            size += BYTES[dtype] * count
        entries[name] = shape
    header = {name: {"dtype": "F16", "shape": each, "data_offsets": [size, size]} for name, each in entries.items()}
    return size + len(json.dumps(header, separators=(",", ":")))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grid:
    """What candidates are made of, and what was measured to predict them."""

    sources: Mapping[str, Module]  # vocabulary -> the teacher with it
    head: HeadConfig | None
    config: ShrinkConfig
    tokens: float  # of a text, on average
    beside: Mapping[str, int] = field(
        default_factory=dict
    )  # vocabulary -> bytes of a module's directory but its tensors
    speed: tuple[float, float] | None = None  # seconds of a text: those of none, and those of a multiply-add

    def candidate(self, layers: int, width: int, vocabulary: str, dtype: str) -> Candidate:
        """Describe one candidate."""
        source = self.sources[vocabulary]
        shape = Shape(num_hidden_layers=layers, hidden_size=width, max_seq_length=self.config.max_seq_length)
        layout = Layout.of(shape, source.checkpoint, self.head)
        work = multiply_adds(layout.config, self.tokens)
        return Candidate(
            name=candidate_name(layers, width, vocabulary, dtype),
            num_hidden_layers=layers,
            hidden_size=width,
            vocabulary=vocabulary,
            pieces=source.tokenizer.vocab_size,
            dtype=dtype,
            parameters=sum(math.prod(each) for each in layout.shapes.values()),
            size_bytes=stored_bytes(layout, dtype, source.checkpoint.family) + self.beside.get(vocabulary, 0),
            multiply_adds=work,
            speed=None if self.speed is None else 1 / (self.speed[0] + self.speed[1] * work),
        )

    def all(self) -> list[Candidate]:
        """Return every candidate, the largest first, none of them wider or deeper than the teacher.

        Raises: ConfigError where the settings name none that is not.
        """
        teacher = next(iter(self.sources.values())).checkpoint.config
        layers = [count for count in self.config.layer_counts if count <= teacher.num_hidden_layers]
        widths = [width for width in self.config.hidden_sizes if width <= teacher.hidden_size]
        if not layers or not widths:
            raise ConfigError(
                f"shapes of {self.config.layers} layers and widths of {self.config.widths} were asked for; the teacher "
                f"has {teacher.num_hidden_layers} layers of {teacher.hidden_size}; name such as are no larger"
            )
        rows = product(layers, widths, self.sources, self.config.stored_as)
        return sorted((self.candidate(*row) for row in rows), key=lambda each: (-each.size_bytes, each.name))


def within(candidates: Sequence[Candidate], bounds: Bounds) -> list[Candidate]:
    """Return the candidates that are predicted to keep the bounds, each shape as the most exact type that does.

    Raises: ConfigError where none does, with the nearest.
    """
    speed = None if bounds.min_speed is None else SPEED_SLACK * bounds.min_speed
    slack = Bounds(max_size=bounds.max_size, min_speed=speed)
    fitting = [each for each in candidates if not slack.broken(size_bytes=each.size_bytes, speed=each.speed)]
    if not fitting:
        smallest = min(candidates, key=lambda each: each.size_bytes)
        fastest = max(candidates, key=lambda each: each.speed or 0)
        speeds = f"; the fastest, {fastest.name}, about {fastest.speed:,.0f} texts/s" if fastest.speed else ""
        raise ConfigError(
            f"a module of {_words(bounds)} was asked for; of {len(candidates)} shapes none is: the smallest, "
            f"{smallest.name}, has {megabytes(smallest.size_bytes)}{speeds}; loosen the bound, or allow other shapes "
            "(layers, widths, vocabularies, dtypes)"
        )
    exact: dict[tuple[int, int, str], Candidate] = {}
    for each in sorted(fitting, key=lambda each: DTYPES.index(each.dtype)):
        exact.setdefault((each.num_hidden_layers, each.hidden_size, each.vocabulary), each)
    return sorted(exact.values(), key=lambda each: (-each.size_bytes, each.name))


def _words(bounds: Bounds) -> str:
    parts = [f"at most {megabytes(bounds.max_size)}"] if bounds.max_size is not None else []
    parts += [f"at least {bounds.min_speed:,.0f} texts/s"] if bounds.min_speed is not None else []
    return " and ".join(parts) or "any size and speed"


def chosen(candidates: Sequence[Candidate], count: int, *, teacher: EncoderConfig, all_sizes: bool) -> list[Candidate]:
    """Choose the candidates that are trained, the largest first.

    Those that begin with layers of the teacher's learn several times faster: they are chosen first, and one place stays
    for another width. With `all_sizes`, evenly over all sizes, for the smallest that is good enough is looked for.
    """
    ordered = sorted(candidates, key=lambda each: (-each.size_bytes, each.name))
    if all_sizes or len(ordered) <= count:
        return spread(ordered, count)
    others = [each for each in ordered if not takes_layers(each.hidden_size, teacher)]
    kept_free = 1 if others and count > 1 else 0
    picked = _largest([each for each in ordered if each not in others], count - kept_free)
    picked += _largest(others, count - len(picked))
    return sorted(picked, key=lambda each: (-each.size_bytes, each.name))


def _largest(candidates: Sequence[Candidate], count: int) -> list[Candidate]:
    """Choose those that no other is as deep, as wide and as rich in pieces as; then those that only these surpass.

    Within bounds, what is larger learns more, even where only int8 makes it fit.
    """
    picked: list[Candidate] = []
    left = list(candidates)
    while left and len(picked) < count:
        front = [each for each in left if not any(_surpasses(other, each) for other in left)]
        front.sort(key=lambda each: (-each.multiply_adds, each.name))
        picked += spread(front, count - len(picked))
        left = [each for each in left if each not in front]
    return picked


def _surpasses(one: Candidate, other: Candidate) -> bool:
    """Say whether one has as much of everything as another, and more of something."""

    def of(each: Candidate) -> tuple[int, int, int]:
        return each.num_hidden_layers, each.hidden_size, each.pieces

    return of(one) != of(other) and all(a >= b for a, b in zip(of(one), of(other), strict=True))
