"""A certificate: how near whatever stands for a module comes to the module in float64, in ids and in vectors."""

from __future__ import annotations

import hashlib
import json
import math
import os
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wellread.encoder.heads import MLM_OUTPUT
from wellread.errors import ExportError, InputError, TruncationWarning
from wellread.export.artefacts import Asking, ask, own_ids, with_prompt
from wellread.export.graph_names import shapes_out
from wellread.export.parity import LANGUAGES, TOLERANCE, read_lines
from wellread.files import public_name
from wellread.hub.http import without_password
from wellread.module import Module
from wellread.schema import whole
from wellread.version import __version__

Array = NDArray[Any]
TEXTS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """How near an artefact is to a module."""

    module: str
    fingerprint: str  # of the module
    artefact: str
    by: str  # what computed for the artefact
    texts: int
    texts_sha256: str  # of all, a newline behind each
    other_ids: int | None  # texts whose ids differ; None: the artefact does not tell its ids
    largest_difference: float  # of a number, over max(1, the largest number of the reference)
    mean_difference: float  # in the same measure
    least_cosine: float
    mean_cosine: float
    logits: Mapping[str, float]  # name -> the largest difference of a few texts, in the same measure
    worst_text: str  # where the largest difference is
    tolerance: float
    holds: bool  # no other ids, and no difference above the tolerance, of logits neither
    notes: tuple[str, ...]
    date: str
    wellread: str


def certify(
    module: Module,
    artefact: str | os.PathLike[str],
    *,
    texts: int | Sequence[str] = TEXTS,
    tolerance: float = TOLERANCE,
    backend: str = "auto",
    model_name: str = "default",
    api_key: str | None = None,
) -> Certificate:
    """Compare an artefact with `module` in float64: the ids of texts, where it tells them, and their vectors.

    `artefact` is a backend (`native`, `native:int8`), a directory or handle that `wellread.load` opens, on `backend`,
    an ONNX graph or a directory with one, a SavedModel of TF Hub, or the address of a server that answers at
    `/v1/embeddings` as OpenAI's does, to `model_name`, with `api_key`. `texts` are so many of the packaged English and
    Korean lines, or texts of your own; those that the module would cut are left out.

    Raises: InputError for no texts, or a tolerance below 0 or infinite; ExportError where the artefact cannot be asked;
        MissingExtra.

    >>> import wellread
    >>> wellread.certify(wellread.load("default"), "openvino:f32", texts=8, tolerance=1e-5).holds
    True
    """
    if not isinstance(tolerance, int | float) or not 0 <= tolerance < math.inf:
        raise InputError(f"tolerance= must be a number of at least 0; found {tolerance!r}; pass such as {TOLERANCE}")
    chosen, notes = chosen_texts(module, texts)
    reference = replace(module, backend="numpy", _automatic="")
    expected = reference.encode(chosen, precision="f64", show_progress_bar=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TruncationWarning)  # of a module whose texts are shorter; the ids tell
        answers = ask(artefact, module, chosen, Asking(backend=backend, model_name=model_name, api_key=api_key))
    vectors = _checked(answers.vectors, expected, artefact, uncut=module.checkpoint.embedding_size)
    ids = own_ids(module, with_prompt(module, chosen))
    other = None if answers.ids is None else sum(a != b for a, b in zip(ids, answers.ids, strict=True))
    differences = np.abs(vectors - expected) / max(1.0, float(np.abs(expected).max()))
    cosines = _cosines(vectors, np.asarray(expected, np.float64))
    worst = int(differences.max(1).argmax())
    largest = float(differences.max())
    return Certificate(
        module=str(module.provenance.get("handle", "(in memory)")),
        fingerprint=module.fingerprint,
        artefact=_named(artefact),
        by=answers.by,
        texts=len(chosen),
        texts_sha256=hashlib.sha256(
            "".join(f"{text}\n" for text in chosen).encode("utf-8", "surrogatepass")
        ).hexdigest(),
        other_ids=other,
        largest_difference=largest,
        mean_difference=float(differences.mean()),
        least_cosine=float(cosines.min()),
        mean_cosine=float(cosines.mean()),
        worst_text=chosen[worst][:80],
        tolerance=float(tolerance),
        logits=answers.logits,
        holds=not other and max([largest, *answers.logits.values()]) <= tolerance,
        notes=(*notes, *answers.notes, *_not_compared(module, answers.logits)),
        date=time.strftime("%Y-%m-%d", time.gmtime()),
        wellread=__version__,
    )


def _not_compared(module: Module, logits: Mapping[str, float]) -> list[str]:
    """Say which logits of a fine-tuned module were not compared: graphs alone are asked for them."""
    names = [name for name in shapes_out(module.checkpoint) if name.endswith("logits") and name != MLM_OUTPUT]
    missing = [name for name in names if name not in logits]
    return [f"{' and '.join(missing)} of the module's head were not compared"] if missing else []


def chosen_texts(module: Module, texts: int | Sequence[str]) -> tuple[list[str], list[str]]:
    """Choose texts that the module does not cut, half of them English, half Korean; and say what was left out.

    Raises: InputError where none is left.
    """
    count = whole(texts)
    if count is not None and count > 0:
        lines = [read_lines(language) for language in LANGUAGES]
        each = -(-count // len(lines))
        spread = (some[:: max(1, len(some) // each)][:each] for some in lines)
        given = [text for some in zip(*spread, strict=True) for text in some][:count]
    else:
        given = [] if isinstance(texts, str | int) else list(texts)
    if not given or not all(isinstance(text, str) for text in given):
        raise InputError(f"texts= takes a number above 0, or texts; found {texts!r:.100}; pass such as {TEXTS}")
    lengths = [len(row) for row in own_ids(module, with_prompt(module, given))]
    kept = [text for text, length in zip(given, lengths, strict=True) if length <= module.max_seq_length]
    if not kept:
        raise InputError(
            f"{len(given)} texts were given; found each longer than the module's {module.max_seq_length} tokens; pass "
            "shorter ones"
        )
    left = len(given) - len(kept)
    return kept, [f"{left} texts of more than {module.max_seq_length} tokens were left out"] if left else []


def _checked(vectors: Array, expected: Array, artefact: object, *, uncut: int) -> Array:
    """Refuse vectors of another shape, or that are no numbers. Raises: ExportError."""
    found = np.asarray(vectors, np.float64)
    if found.ndim == 2 and found.shape[1] == uncut:
        found = found[:, : expected.shape[1]]  # `truncate_dim` is the caller's
    if found.shape != expected.shape or not np.isfinite(found).all():
        what = f"vectors of shape {list(found.shape)}" if found.shape != expected.shape else "NaN or infinity"
        raise ExportError(
            f"{_named(artefact)} was to be certified against vectors of shape {list(expected.shape)}; found {what}; "
            "check that it is of this module"
        )
    return found


def _cosines(a: Array, b: Array) -> Array:
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return (a * b).sum(1) / np.maximum(norms, 1e-30)


def _named(artefact: object) -> str:
    name = str(artefact)
    return without_password(name) if "://" in name else public_name(name)


def refuse_beyond(certificate: Certificate) -> None:
    """Raise an ExportError for a certificate that does not hold."""
    if certificate.holds:
        return
    ids = f"other ids for {certificate.other_ids} of {certificate.texts} texts and " if certificate.other_ids else ""
    logits = "".join(f", of {name} {by:.3g}" for name, by in certificate.logits.items())
    raise ExportError(
        f"{certificate.artefact} must agree with {certificate.module} within tolerance={certificate.tolerance:g}; "
        f"found {ids}a difference of {certificate.largest_difference:.3g}{logits}; "
        "export it again, or allow more if that is expected"
    )


def as_json(certificate: Certificate) -> str:
    """Write a certificate as JSON; null is a difference of logits of another shape, or that are no numbers."""
    logits = {name: by if math.isfinite(by) else None for name, by in certificate.logits.items()}
    return json.dumps({**asdict(certificate), "logits": logits}, indent=2, ensure_ascii=False) + "\n"


def as_markdown(certificate: Certificate) -> str:
    """Write a certificate as a page of Markdown."""
    found = certificate
    ids = "not told" if found.other_ids is None else f"{found.texts - found.other_ids} of {found.texts} texts equal"
    verdict = "agrees with" if found.holds else "does NOT agree with"
    rows = {
        "module": f"{found.module}, fingerprint {found.fingerprint}, in float64",
        "artefact": f"{found.artefact}, computed by {found.by}",
        "texts": f"{found.texts}, SHA-256 {found.texts_sha256}",
        "ids": ids,
        "largest difference": f"{found.largest_difference:.3g} (tolerance {found.tolerance:g})",
        "mean difference": f"{found.mean_difference:.3g}",
        "least cosine": f"{found.least_cosine:.9f}",
        "mean cosine": f"{found.mean_cosine:.9f}",
        **{name: f"largest difference {by:.3g}" for name, by in found.logits.items()},
        "worst text": " ".join(found.worst_text.replace("|", "\\|").split()),
        "made": f"{found.date}, wellread {found.wellread}",
    }
    table = [f"| {name} | {value} |" for name, value in rows.items()]
    notes = [f"- {note}" for note in found.notes]
    title = f"# {found.artefact} {verdict} {found.module}"
    return "\n".join([title, "", "| | |", "|---|---|", *table, *([""] if notes else []), *notes]) + "\n"
