"""Distil a small encoder from a large one, by one of four methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from wellread.data.examples import Given
from wellread.errors import ConfigError
from wellread.files import public_name
from wellread.learn.distill.layers import layers_student
from wellread.learn.distill.relations import relations_student
from wellread.learn.distill.soft_labels import labels_student
from wellread.learn.distill.student import DistillInputs, Student, Teacher, shape_of
from wellread.learn.distill.teacher import fingerprint
from wellread.learn.distill.transfer_set import transfer_set
from wellread.learn.distill.vectors import vectors_student
from wellread.learn.distributed import joined
from wellread.learn.log import time_of
from wellread.learn.loop import run, trained_module
from wellread.learn.settings import DistillConfig, TextConfig, read_recipe
from wellread.learn.vocabulary import read_vocabulary
from wellread.module import Module
from wellread.text.tokenizer import Tokenizer

METHODS: Mapping[str, Callable[[DistillInputs], Student]] = {
    "layers": layers_student,
    "labels": labels_student,
    "relations": relations_student,
    "vectors": vectors_student,
}
ENSEMBLES = ("labels", "vectors")  # which learn from several teachers


def distill(
    teacher: Module | Sequence[Module],
    texts: Sequence[str] | Sequence[Path],
    *,
    output_dir: str | Path,
    config: DistillConfig | None = None,
    text: TextConfig | None = None,
    recipe: str | Path | None = None,
    student: Module | None = None,
    pairs: Sequence[str] | None = None,
    examples: Given | None = None,
    vocab: str | Path | Tokenizer | None = None,
    lower_case: bool = False,
    layers_from: Module | None = None,
    resume_from_checkpoint: bool | str | Path | None = None,
    overwrite: bool = False,
) -> Module:
    """Train a student on what the teacher makes of `texts`, by `config.method`, and return it.

    `teacher` is a module, or for `vectors` and `labels` several: the student learns from all. Its vectors lie in the
    space of the first; soft labels are those of the mean of the teachers' logits.

    `layers` makes its student of the teacher's layers; `labels` teaches a pre-trained `student`, and takes `pairs`, the
    second texts, where the teacher judges pairs, and labelled `examples`, as `finetune` does: beside the teacher's soft
    labels they teach their own, times `config.hard_label_weight`. `relations` and `vectors` teach `student`, or a fresh
    one of the shape in `config`. A fresh student of `vectors` may read with another vocabulary than the teacher's:
    `vocab` is a vocab.txt (with `lower_case`, if that is its rule), a SentencePiece model, a module or a tokenizer. Its
    layers may begin as those of `layers_from`, an encoder of the same shape, of any language.

    `recipe` is one that ships with wellread, or a TOML file: files are read as its [text] says, which may ask for
    changed copies of all texts too, and trained on as its [distill] does; `text` and `config` go before them. Without
    either, `layers` and `relations` take files too, which need not fit in memory.

    `output_dir` gets the teacher's outputs (kept for the next run), checkpoints, and what `log_events` writes. A run
    that was killed goes on from `resume_from_checkpoint`: one of those, or True for the last; `overwrite` begins anew
    where there are checkpoints of another. Under torchrun every process returns the student.

    Raises: TrainingError for no texts, or as `train` does; ConfigError for a teacher and a student that do not go
        together, several teachers where one is taken, or a vocabulary or layers where none are; TextError for its
        files; DataError for those of texts.
    """
    teachers = [teacher] if isinstance(teacher, Module) else list(teacher)
    read = read_recipe(recipe or "default")
    text = text or (read.text if recipe else None)
    config = config or read.distill
    given = transfer_set(texts, pairs=pairs, examples=examples, text=text, method=config.method)
    refuse_teachers(teachers, config.method)
    tokenizer = _tokenizer(vocab, lower_case, config.method, student)
    output_dir = Path(output_dir)
    with joined(config.loop.ddp_timeout) as process:
        inputs = DistillInputs(
            teachers=[Teacher(module=module, sha256=fingerprint(module)) for module in teachers],
            student=student,
            texts=given.texts,
            pairs=given.pairs,
            config=config,
            output_dir=output_dir,
            process=process,
            tokenizer=tokenizer,
            layers=_layers(layers_from, config.method, student),
            examples=given.examples,
        )
        learner = METHODS[config.method](inputs)
        resume: dict[str, Any] = {"resume_from_checkpoint": resume_from_checkpoint, "overwrite": overwrite}
        steps = run(learner, config.loop, output_dir, settings=config, prepare=learner.prepare, **resume)
    provenance = {
        "made_by": "wellread distill",
        **({"recipe": Path(recipe).stem} if recipe else {}),
        **_sources(inputs),
        **({"vocabulary": public_name(vocab)} if isinstance(vocab, str | Path) else {}),
        **({"layers": {**layers_from.provenance, "sha256": fingerprint(layers_from)}} if layers_from else {}),
        **given.counts,
        **{"steps": steps, **time_of(output_dir), "settings": asdict(config) | shape_of(learner.checkpoint.config)},
        **({"text": asdict(text)} if text else {}),
    }
    return trained_module(learner.model, learner.checkpoint, learner.tokenizer, provenance=provenance)


def refuse_teachers(teachers: Sequence[Module], method: str) -> None:
    """Refuse no teacher, or more than a method learns from. Raises: ConfigError."""
    if not teachers or (len(teachers) > 1 and method not in ENSEMBLES):
        several = f"; several are for {' and '.join(ENSEMBLES)}" if teachers else ""
        raise ConfigError(f"the method {method!r} learns from a teacher; found {len(teachers)}; give it one{several}")


OWN_VOCABULARY = {  # why a method's student reads with no vocabulary of its own
    "layers": "takes the teacher's word table as it is",
    "labels": "is pre-trained and has one",
    "relations": "is compared with the teacher token by token",
}


def _tokenizer(
    vocab: str | Path | Tokenizer | None, lower_case: bool, method: str, student: Module | None
) -> Tokenizer | None:
    """Read the vocabulary of a fresh student. Raises: ConfigError where the student cannot have one; TextError."""
    if vocab is None:
        if lower_case:
            raise ConfigError("lower case was asked for; found no vocabulary that it is the rule of; name one (vocab)")
        return None
    why = "has its own" if student is not None else OWN_VOCABULARY.get(method)
    if why:
        raise ConfigError(
            f"a vocabulary was given for the student of {method!r}; found that it {why}; leave the vocabulary out"
        )
    return vocab if isinstance(vocab, Tokenizer) else read_vocabulary(vocab, lower_case=lower_case)


def _layers(layers_from: Module | None, method: str, student: Module | None) -> Module | None:
    """Return whose layers a fresh student begins with. Raises: ConfigError where none is made of drawn ones."""
    if layers_from is not None and (student is not None or method != "vectors"):
        found = "a student that is given" if student is not None else f"the method {method!r}"
        raise ConfigError(
            f"layers were to begin as another encoder's; found {found}; that is for a fresh student of 'vectors' alone"
        )
    return layers_from


def _sources(inputs: DistillInputs) -> dict[str, Any]:
    """Say which teachers and student a student was made of; of several the first is the one it stands in for."""
    student = inputs.student
    first, *others = ({**one.module.provenance, "sha256": one.sha256} for one in inputs.teachers)
    return {
        "teacher": first,
        **({"further_teachers": {str(number): other for number, other in enumerate(others, 2)}} if others else {}),
        **({"student": {**student.provenance, "sha256": fingerprint(student)}} if student else {}),
    }
