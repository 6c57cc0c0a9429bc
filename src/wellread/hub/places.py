"""What lies at a path: a table of layouts, and the directory that is opened where there is one reading."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import field, replace
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

from wellread.dataclass import dataclass
from wellread.errors import CheckpointError, some
from wellread.files import is_litter

WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_ENTRIES, _FOLDERS = 2_000, 50  # that are looked at in a folder of a directory
_DEPTH, _FEW = 4, 3  # folders in folders that a module is looked for in, and how many in each
_SAID = 1 << 16  # bytes of a file that are searched for a word


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One way in which files lie in a directory."""

    name: str
    what: str  # in words
    holds: tuple[str, ...] = ()  # of each, one file must be there: patterns of paths, with | between
    lacks: str = ""  # none of these may be there
    says: str = ""  # a file that must be there, and after a space what must stand in it
    advice: str = ""  # why it is not read, as what to do; none: it is read
    inside: bool = False  # whether a folder in it may be the module

    @property
    def is_read(self) -> bool:
        """Whether it is a module's."""
        return not self.advice

    def fits(self, names: Collection[str], directory: Path | None = None) -> bool:
        """Say whether files lie so; without `directory` their content is not looked at."""
        if any(not _found(names, patterns) for patterns in self.holds) or (self.lacks and _found(names, self.lacks)):
            return False
        if not self.says:
            return True
        name, _, word = self.says.partition(" ")
        return directory is not None and name in names and _says(directory / name, word)

    def shown(self, names: Collection[str]) -> list[str]:
        """Return the files by which it is known."""
        known = [*self.holds, self.says.partition(" ")[0]]
        return [name for patterns in known for name in _found(names, patterns)]


_PYTORCH = "fetch model.safetensors or pytorch_model.bin of the same model"
_CONVERT = "or let transformers 4 convert it: AutoModel.from_pretrained(path, {option}=True).save_pretrained(new_path)"
HUB_CACHE = Layout(
    name="hub cache",
    what="a folder of the hub's cache",
    holds=("snapshots/*/",),
    advice="name the model by its handle",
    inside=True,
)
_BODIES = ("[!1-9]*", "[!1-9]*/*")  # folders of an encoder that modules.json may name; the others hold later steps
# In the order in which they are tried. What is read comes first: a model often lies there in several forms.
LAYOUTS = (
    Layout(
        name="old adapter",
        what="an adapter of adapter-transformers",
        holds=("adapter_config.json", "pytorch_adapter.bin|pytorch_model_head.bin"),
        advice="merge it into its model with the adapters library (model.merge_adapter) and save that whole",
    ),
    Layout(name="adapter", what="an adapter", holds=("adapter_config.json",)),
    Layout(name="adapter", what="an adapter", holds=("modules.json", "[!1-9]*/adapter_config.json")),
    Layout(name="native", what="a wellread module", holds=("wellread.json",)),
    Layout(
        name="adapter weights",
        what="an adapter's weights without adapter_config.json",
        holds=("adapter_model.safetensors|adapter_model.bin",),
        lacks="|".join(WEIGHTS),
        advice="put the adapter_config.json of the same adapter beside them, which names its base",
    ),
    *(
        Layout(
            name="static",
            what="static embeddings, a table of vectors without an encoder",
            says=says,
            advice="load it with model2vec or sentence-transformers; wellread runs encoders",
        )
        for says in ("modules.json StaticEmbedding", 'config.json "model2vec"', "config.json apply_pca")
    ),
    Layout(name="huggingface", what="a model of Hugging Face's", holds=("config.json", "|".join(WEIGHTS))),
    Layout(
        name="huggingface",
        what="a model of sentence-transformers",
        holds=(
            "modules.json",
            "|".join(f"{folder}/config.json" for folder in _BODIES),
            "|".join(f"{folder}/{name}" for folder in _BODIES for name in WEIGHTS),
        ),
    ),
    Layout(name="saved_model", what="a SavedModel of TensorFlow", holds=("saved_model.pb",)),
    Layout(name="tf1", what="a TensorFlow 1 checkpoint", holds=("*.index",)),
    Layout(name="huggingface", what="a model of before 2020", holds=("bert_config.json", "|".join(WEIGHTS))),
    Layout(
        name="run",
        what="a training run of wellread",
        holds=("log.jsonl",),
        lacks="config.json",
        advice="load the module that it writes at its end, or finish it with resume_from_checkpoint=True (--resume)",
    ),
    Layout(
        name="run",
        what="a checkpoint of a training run of wellread",
        holds=("state.json", "optimizer.safetensors"),
        lacks="config.json",
        advice="load the module that the run writes at its end, or finish it with resume_from_checkpoint=True "
        "(--resume)",
    ),
    HUB_CACHE,
    *(
        Layout(name="other weights", what=what, holds=(patterns,), advice=f"{_PYTORCH}{more}")
        for what, patterns, more in (
            ("weights of transformers' TensorFlow classes", "tf_model*.h5*", f", {_CONVERT.format(option='from_tf')}"),
            ("weights of Flax", "flax_model*.msgpack*", f", {_CONVERT.format(option='from_flax')}"),
            ("an ONNX graph", "*.onnx|onnx/*.onnx", ""),
            ("an OpenVINO graph", "openvino*.xml|openvino/*.xml|*/openvino*.xml", ""),
            ("quantised weights of llama.cpp", "*.gguf|*.ggml|ggml-*.bin|gguf/*", ""),
            ("weights of rust-bert", "rust_model.ot", ""),
            ("a graph of TensorFlow Lite", "*.tflite", ""),
            ("a graph of Core ML", "*.mlmodel|*.mlpackage/*|coreml/*", ""),
            ("a graph of TorchScript or weights under another name", "*.pt|*.pth|*.ckpt", ""),
            (
                "a model of Keras",
                "*.keras|*.h5",
                ", or load it with Keras, and save the encoder in it with wellread",
            ),
            ("an archive of another kind", "*.7z|*.rar|*.bz2|*.xz|*.gz|*.zst|*.nemo|*.mar", ", or unpack it"),
            ("a model of MLX or weights under another name", "*.npz|weights.*safetensors", ""),
            ("weights of a variant", "model.*.safetensors|pytorch_model.*.bin", ", or give these that name"),
        )
    ),
    Layout(name="tf1", what="a part of a TensorFlow 1 checkpoint", holds=("bert_config.json",)),
    Layout(
        name="no config",
        what="weights without config.json, which tells their shape",
        holds=("|".join(WEIGHTS),),
        advice="put the config.json of the same model beside them",
    ),
    Layout(
        name="no chain",
        what="modules of sentence-transformers without modules.json, which tells their order",
        holds=("1_Pooling/config.json",),
        lacks="modules.json",
        advice="fetch the whole model",
    ),
    *(
        Layout(
            name="no weights",
            what="a configuration without weights",
            holds=(file,),
            advice=f"fetch one of {', '.join(WEIGHTS)} of the same model",
            inside=file == "config.json",  # an encoder under modules.json is a part of that model
        )
        for file in ("modules.json", "config.json")
    ),
    Layout(
        name="tokenizer",
        what="a tokenizer without a model",
        holds=("tokenizer.json|tokenizer_config.json|vocab.txt|vocab.json|*.model|*.spiece",),
        advice="load the model that it belongs to, and pass this as tokenizer=",
        inside=True,
    ),
    Layout(
        name="head",
        what="a pickle, which is never opened",
        holds=("*.pkl|*.pickle|*.joblib",),
        advice="fetch the encoder's own files too: config.json and model.safetensors",
        inside=True,
    ),
)
# What may lie beside a model without being read with it -> what it is.
BESIDE = {
    "model_head.pkl": "SetFit's head, in a pickle, which is never opened",
    "*/adapter_config.json": "an adapter in a folder of its own, which is merged where that folder is loaded",
    "adapter_model.safetensors": "an adapter's weights without its adapter_config.json",
    "adapter_model.bin": "an adapter's weights without its adapter_config.json",
    "pytorch_model_head.bin": "a head of adapter-transformers",
}
EMPTY = Layout(name="empty", what="an empty directory", advice="check the path, or fetch the model again")
UNKNOWN = Layout(name="unknown", what="no model", advice="check the path, or fetch the model again", inside=True)
BROKEN = Layout(
    name="broken",
    what="links to files that are not there",
    advice="fetch the model again, or copy its files with their links followed (cp -L)",
)
SEVERAL = Layout(name="several", what="several models", advice="pass the path of one")
# A file of a module: its directory is meant.
PARTS = (
    *("wellread.json", "config.json", "modules.json", "adapter_config.json", "bert_config.json", "saved_model.pb"),
    *("model*.safetensors", "pytorch_model*.bin", "adapter_model.*", "*.safetensors.index.json", "*.bin.index.json"),
    *("*.index", "*.data-?????-of-?????", "*.ckpt.meta", "checkpoint", "vocab.txt", "vocab.json", "merges.txt"),
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "*.model", "*.spiece"),
    *("sentence_bert_config.json", "config_sentence_transformers.json", "config_setfit.json", "model_head.pkl"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What lies at a path, and the directory in which it does."""

    path: Path  # as it was given
    directory: Path  # of the module, where one was found
    layout: Layout
    names: Collection[str] = field(default_factory=tuple, repr=False)  # what lies in the directory, two folders deep
    note: str | None = None  # how one comes from the path to the directory, where they are not the same

    def refuse(self) -> None:
        """Refuse what is not read. Raises: CheckpointError that says what lies there and what to do."""
        if self.layout.is_read:
            return
        of_root = [name for name in self.names if self.layout is not UNKNOWN or "/" not in name[:-1]]
        shown = self.layout.shown(self.names) or of_root
        found = f"{self.layout.what}{f' ({some(shown)})' if shown else ''}"
        raise CheckpointError(f"a module was asked of {self.path}; found {found}; {self.layout.advice}")


def layout_of(names: Collection[str], directory: Path | None = None) -> Layout:
    """Return the first layout in which files lie; paths are relative, with forward slashes.

    >>> layout_of(["config.json", "tf_model.h5", "vocab.txt"]).what
    "weights of transformers' TensorFlow classes"
    """
    fallback = UNKNOWN if names else EMPTY
    return next((layout for layout in LAYOUTS if layout.fits(names, directory)), fallback)


def what_lies_at(path: Path, *, depth: int = _DEPTH) -> Place:
    """Say what lies at a path, which must be there: a directory, or a file of one.

    Raises: CheckpointError where a directory cannot be listed.
    """
    if not path.is_dir():
        return _of_file(path, depth=depth)
    try:
        names = sorted(_walk(path))
        broken = [entry.name for entry in os.scandir(path) if entry.is_symlink() and not os.path.exists(entry)]
    except OSError as error:
        raise CheckpointError(f"{path} was to be read; found that {error}; check the path") from error
    layout = layout_of(names, path)
    if not layout.is_read and broken and layout_of([*names, *broken]).is_read:
        return Place(path=path, directory=path, layout=BROKEN, names=sorted(broken))
    here = Place(path=path, directory=path, layout=layout, names=names)
    if not layout.inside or depth == 0:
        return here
    return _of_snapshot(here, depth=depth) if layout is HUB_CACHE else _of_folders(here, depth=depth)


def parts_beside(place: Place) -> dict[str, str]:
    """Return the files beside a model that it may have been meant to be used with, and what each is."""
    return {name: what for pattern, what in BESIDE.items() for name in _found(place.names, pattern)}


def _of_folders(here: Place, *, depth: int) -> Place:
    """Take the one folder that is a module; folders in folders are looked at only where there are few."""
    folders = [name for name in here.names if name.count("/") == 1 and name.endswith("/") and _may_be_module(name)]
    deeper = depth - 1 if len(folders) <= _FEW else 0
    places = []
    for name in folders:
        with suppress(CheckpointError):  # of a folder that may not be read
            places.append(what_lies_at(here.directory / name, depth=deeper))
    modules = [place for place in places if place.layout.is_read]
    if len(modules) > 1:
        there = [place.directory.relative_to(here.directory).as_posix() for place in modules]
        return replace(here, layout=SEVERAL, names=there)
    if not modules:
        return here
    where = modules[0].directory.relative_to(here.directory).as_posix()
    return replace(modules[0], path=here.path, note=f"{where}, the one model in the directory that was given")


def _of_file(path: Path, *, depth: int) -> Place:
    """Take the directory of a module's file; name what any other file is."""
    directory = path.parent.parent if path.parent.name == "variables" else path.parent
    alone = Place(path=path, directory=path, layout=layout_of([path.name]), names=[path.name])
    if not any(fnmatchcase(path.name, pattern) for pattern in PARTS):
        return alone
    place = what_lies_at(directory, depth=depth)
    rivals = _found(place.names, "*.index") if path.suffix == ".index" else _found(place.names, "|".join(WEIGHTS))
    if path.name in rivals[1:] or (path.suffix == ".index" and len(rivals) > 1):
        layout = replace(SEVERAL, advice="move the one that you want into a directory of its own, with its other files")
        return replace(alone, layout=layout, names=rivals)
    return replace(place, path=path, note=f"the directory of the file {path.name}")


def _of_snapshot(here: Place, *, depth: int) -> Place:
    """Take the snapshot that `refs/main` names, or the only one."""
    commits = [name.split("/")[1] for name in HUB_CACHE.shown(here.names)]
    main = here.directory / "refs" / "main"
    named = main.read_text("utf-8", "replace").strip() if main.is_file() else ""
    if len(commits) > 1 and named not in commits:
        return replace(here, layout=SEVERAL, names=[f"snapshots/{commit}" for commit in commits])
    commit = named if named in commits else commits[0]
    place = what_lies_at(here.directory / "snapshots" / commit, depth=depth - 1)
    why = "which refs/main names" if named == commit else "the only one"
    return replace(place, path=here.path, note=f"snapshots/{commit}, {why}")


def _may_be_module(folder: str) -> bool:
    """Say whether a folder may hold a module: those of sentence-transformers' chain hold its later steps."""
    return not re.match(r"[1-9]\d*_", folder)


def _walk(directory: Path, prefix: str = "", depth: int = 2) -> Iterator[str]:
    """Name what lies in a directory and two folders deep, folders with a slash, without litter and broken links."""
    try:
        with os.scandir(directory) as entries:
            kept = [entry for entry in (islice(entries, _ENTRIES) if prefix else entries) if not is_litter(entry.name)]
    except OSError:
        if not prefix:
            raise
        return  # a folder that may not be read is no reason to refuse what lies beside it
    folders = [entry for entry in kept if os.path.isdir(entry)]  # never raises, as the entry's own method does
    yield from (f"{prefix}{entry.name}" for entry in kept if os.path.isfile(entry))
    yield from (f"{prefix}{entry.name}/" for entry in folders)
    for entry in folders[:_FOLDERS] if depth else []:
        yield from _walk(Path(entry.path), f"{prefix}{entry.name}/", depth - 1)


_WILD = re.compile(r"[*?[]")  # a name without these is compared, which takes no regular expression


def _found(names: Collection[str], patterns: str) -> list[str]:
    """Return the names that match one of several patterns, by pattern; a * stays in its folder."""
    return [
        name
        for pattern in patterns.split("|")
        for name in names
        if name == pattern
        or (_WILD.search(pattern) and name.count("/") == pattern.count("/") and fnmatchcase(name, pattern))
    ]


def _says(path: Path, word: str) -> bool:
    with path.open("rb") as file:
        return word.encode() in file.read(_SAID)
