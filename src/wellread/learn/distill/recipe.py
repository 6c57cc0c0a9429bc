"""A recipe: everything that decides a student, in one TOML file; and the one function that carries it out."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from wellread.errors import ConfigError, nearest
from wellread.learn.settings import DistillConfig
from wellread.module import Module

HERE = Path(__file__).parent / "recipes"
TOKEN_METHODS = ("layers", "relations")  # which read any number of texts from their files
RECIPES = tuple(sorted(path.stem for path in HERE.glob("*.toml")))


@dataclass(frozen=True, slots=True, kw_only=True)
class TextConfig:
    """Which texts are taken from the files."""

    split: Annotated[
        bool, "texts are cut into sentences of 4 to 90 words without repetitions; false: they stay whole"
    ] = True
    clauses: Annotated[float, "share of sentences of which one clause is taken too"] = 0.0
    limit: Annotated[int, "texts at most, drawn from all; 0: all"] = 1_000_000
    text_seed: Annotated[int, "of the draw of texts"] = 0
    text_column: Annotated[str, "column of the texts; empty: text, or the only one of texts"] = ""
    pair_column: Annotated[str, "column of the second text, where the teacher judges pairs"] = ""
    kind: Annotated[str, "kind of the files, where their endings do not say it"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The text, and the student's shape and training."""

    text: TextConfig = field(default_factory=TextConfig)
    distill: DistillConfig = field(default_factory=DistillConfig)


def read_recipe(name: str) -> Recipe:
    """Read a recipe that ships with wellread, or a TOML file. Raises: ConfigError that names unknown keys."""
    path = HERE / f"{name}.toml" if name in RECIPES else Path(name)
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"the recipe {name!r} was asked for; it is none of {', '.join(RECIPES)} and no TOML file: {error}; check it"
        ) from None
    recipe: Recipe = _build(Recipe(), data, path, "")
    return recipe


def _build(plain: Any, data: dict[str, Any], path: Path, where: str) -> Any:
    """Return the dataclass `plain` with the values of a table; the type of a default is the type of its key."""
    known = {item.name: item for item in fields(plain)}
    unknown = [where + key + (_moved(key, plain, where) or nearest(key, known)) for key in data if key not in known]
    if unknown:
        raise ConfigError(f"{path} has unknown keys: {', '.join(unknown)}; remove or correct them")
    made = {}
    for key, value in data.items():
        default = getattr(plain, key)
        if is_dataclass(default) and isinstance(value, dict):
            made[key] = _build(default, value, path, f"{where}{key}.")
        elif type(value) is type(default) or (isinstance(default, float) and type(value) is int):
            made[key] = value
        else:
            raise ConfigError(f"{path}: {where}{key} must be {type(default).__name__}; found {value!r}; correct it")
    try:
        return replace(plain, **made)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from None


def _moved(key: str, plain: Any, where: str) -> str:
    """Say that a key stands one table further down, as those of the loop do."""
    tables = [item.name for item in fields(plain) if hasattr(getattr(plain, item.name), key)]
    return f" (it belongs in [{where}{tables[0]}])" if tables else ""


def run_recipe(
    recipe: Recipe,
    teacher: Module,
    texts: Sequence[Path],
    *,
    output: Path,
    run_dir: Path,
    student: Module | None = None,
    name: str = "",
    dtype: str = "float32",
    resume: bool = False,
) -> Module:
    """Distil a student as `recipe` says on the texts of files, save it under `output`, and return it.

    `student` is the module that learns; without one it is made. `name` is what the recipe is called in the module.
    `resume` goes on from the last checkpoint in `run_dir`. Of several processes the first alone saves.

    Raises: CheckpointError where `output` exists, before any work; DataError; TrainingError; ConfigError.
    """
    from wellread.files import refuse_existing
    from wellread.learn.distill.distill import distill
    from wellread.learn.distributed import joined

    refuse_existing(output)
    read, pairs = _texts(recipe, texts)
    with joined(recipe.distill.loop.ddp_timeout) as process:
        made = distill(
            teacher,
            read,
            pairs=pairs,
            student=student,
            output_dir=run_dir,
            config=recipe.distill,
            resume_from_checkpoint=resume,
        )
        told = {"made_by": made.provenance["made_by"], **({"recipe": Path(name).stem} if name else {})}
        made = replace(made, provenance={**told, **made.provenance, "text": asdict(recipe.text)})
        if process.is_main:
            made.save(output, dtype=dtype)
    return made


def _texts(recipe: Recipe, paths: Sequence[Path]) -> tuple[Sequence[str] | Sequence[Path], Sequence[str] | None]:
    """Read texts, or return files of them that need not be in memory; and the second text of each of pairs."""
    from wellread.data.corpus import read_lines, read_sentences

    wanted = recipe.text
    options: dict[str, Any] = {"limit": wanted.limit, "seed": wanted.text_seed}
    options |= {"column": wanted.text_column, "kind": wanted.kind}
    if wanted.split and wanted.pair_column:
        raise ConfigError(
            f"pairs of the column {wanted.pair_column!r} were asked for; found that texts are to be cut into "
            "sentences; set split to false"
        )
    if wanted.split:
        return read_sentences(paths, clauses=wanted.clauses, **options), None
    if recipe.distill.method in TOKEN_METHODS and not (wanted.limit or wanted.text_column or wanted.kind):
        return paths, None
    return read_lines(paths, pair_column=wanted.pair_column, **options)
