"""Write docs/handles.md: every module of the catalog with its handles, and what the documents' handles resolve to.

python tools/handles_page.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import wellread
from wellread.catalog.modules import HUBS, ModuleEntry, entries, entry_named
from wellread.catalog.packaged import packaged_modules
from wellread.errors import HandleError
from wellread.hub.handles import locate

PAGE = Path(__file__).parent.parent / "docs" / "handles.md"
HEAD = """# Handles

Written from the catalog by `python tools/handles_page.py`; a test holds the two together. `wellread catalog NAME` shows
a module whole: its scores with their sources, and what each publication computes.

A handle is a path, a name of the first column, or what stands in the other columns, with or without its host:
`https://tfhub.dev/...`; `https://www.kaggle.com/models/...`; `owner/name`, `hf://owner/name@revision` or a page of
Hugging Face; `gs://` or `https://storage.googleapis.com/...`, and any other https address of a .zip, .tar.gz, .tgz or
.tar. Without a version, the newest is taken. A name stands for the first living publication: the authors' own archive
for Google's modules, else the repository on Hugging Face.

`/1-4` stands for four handles. ~~Struck out~~: dead, and refused with the living ones. Kaggle's are as other people's
code has them.
"""
# What the five source documents name, in their order.
DOCUMENTS = {
    "DistilKoBERT on TF Hub": [
        "https://tfhub.dev/jeongukjae/distilkobert_cased_L-3_H-768_A-12/1",
        "https://tfhub.dev/jeongukjae/distilkobert_cased_preprocess/1",
        "https://storage.googleapis.com/jeongukjae-tf-models/distilkobert/distilkobert_cased_L-3_H-768_A-12.tar.gz",
    ],
    "DistilBERT, English, cased, on TF Hub": [
        "https://tfhub.dev/jeongukjae/distilbert_en_cased_L-6_H-768_A-12/1",
        "https://tfhub.dev/jeongukjae/distilbert_en_cased_preprocess/1",
        "https://storage.googleapis.com/jeongukjae-tf-models/distilbert/distilbert-base-cased.tar.gz",
        "https://huggingface.co/distilbert-base-cased",
    ],
    "the DistilKoBERT package": [
        "kobert",
        "https://drive.google.com/open?id=13jTGc7KrvK9xp9e5GvYjyRz6bf2oJux8",
        "https://drive.google.com/open?id=15Ro2LKfXEtdGdRTx15iraxREiFnD5Zig",
    ],
    "small BERT on TF Hub": [
        "https://tfhub.dev/tensorflow/small_bert/bert_en_uncased_L-12_H-512_A-8/1",
        "https://tfhub.dev/tensorflow/bert_en_uncased_preprocess/3",
        "https://tfhub.dev/google/collections/bert/1",
    ],
    "BERT, English, cased, on Hugging Face": [
        "Dimitre/bert_en_cased_L-12_H-768_A-12",
        "Dimitre/bert_en_cased_preprocess",
        "https://hf.xwall.us.kg/Dimitre/bert_en_cased_preprocess",
    ],
}
SHORT = {
    "https://tfhub.dev/": "",
    "https://www.kaggle.com/models/": "",
    "https://storage.googleapis.com/": "gs://",
}


def page() -> str:
    """Return the whole page."""
    return "\n".join(
        [
            HEAD,
            *_modules(),
            "",
            "## What ships with wellread",
            "",
            *_packaged(),
            "",
            "## Traps",
            "",
            *_traps(),
            "",
            "## The documents' handles",
            "",
            *_documents(),
            "",
        ]
    )


def _packaged() -> Iterator[str]:
    yield "| module | | parameters |"
    yield "|---|---|--:|"
    for name in packaged_modules():
        checkpoint = wellread.load(name).checkpoint
        facts = checkpoint.summary()
        what = f"{facts['family']}, {facts['shape']}, {facts['vectors']}, {facts['size']}"
        yield f"| `{name}` | {what} | {checkpoint.num_parameters:,} |"


def _modules() -> Iterator[str]:
    yield "| module | parameters | " + " | ".join(HUBS) + " |"
    yield "|---|--:|" + "---|" * len(HUBS)
    for entry in entries():
        cells = (_handles(entry, hub) for hub in HUBS)
        yield f"| {entry.name} | {entry.parameters:,} | {' | '.join(cells)} |"


def _handles(entry: ModuleEntry, hub: str) -> str:
    """Give the handles that an entry has at a hub, versions drawn together."""
    versions: dict[tuple[str, bool], list[int]] = {}
    for one in entry.publications:
        if one.hub == hub:
            base = one.handle.removesuffix(f"/{one.version}")
            versions.setdefault((base, one.alive), []).extend([one.version] if one.version else [])
    return " ".join(_one(base, alive, found) for (base, alive), found in versions.items())


def _one(base: str, alive: bool, versions: list[int]) -> str:
    span = "" if not versions else f"/{min(versions)}" + (f"-{max(versions)}" if len(versions) > 1 else "")
    return f"`{_short(base)}{span}`" if alive else f"~~`{_short(base)}{span}`~~"


def _short(handle: str) -> str:
    for long, short in SHORT.items():
        handle = handle.replace(long, short)
    return handle


def _traps() -> Iterator[str]:
    for entry in entries():
        if entry.note.startswith("a trap: "):
            yield f"- {entry.name}: {entry.note.removeprefix('a trap: ')}."


def _documents() -> Iterator[str]:
    yield "| document | handle | resolves to | which is |"
    yield "|---|---|---|---|"
    for document, handles in DOCUMENTS.items():
        for handle in handles:
            yield f"| {document} | `{handle}` | {_resolved(handle)} |"


def _resolved(handle: str) -> str:
    try:
        found = locate(handle)
    except HandleError as error:
        reason, living = re.fullmatch(r".*looks like (?:a handle that is dead: )?(.*); take (.*)", str(error)).groups()  # type: ignore[union-attr]
        return f"`{living}` instead | {reason}; {entry_named(living).name}"
    what = "a preprocessor" if found.preprocessor else found.entry.name if found.entry else "unknown to the catalog"
    return f"{found.kind}: `{_short(found.address)}` | {what}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
