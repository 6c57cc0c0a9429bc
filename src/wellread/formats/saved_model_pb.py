"""What `saved_model.pb` says: the operations that its functions use. It is searched and parsed, and never evaluated.

The messages are SavedModel, MetaGraphDef, GraphDef, FunctionDefLibrary, FunctionDef, NodeDef and AttrValue, defined in
tensorflow/core/protobuf and tensorflow/core/framework.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field
from pathlib import Path

from wellread.dataclass import dataclass
from wellread.errors import CheckpointError
from wellread.formats.arrays import check_magic
from wellread.formats.protobuf import fields

NAME = "saved_model.pb"
# Numbers of fields, as they lead down to a node and to its attributes.
_META_GRAPHS, _GRAPH = 2, 2
_NODES, _LIBRARY = 1, 2
_FUNCTIONS, _FUNCTION_NODES = 1, 3
_OP, _ATTRIBUTES = 2, 5
_KEY, _VALUE, _STRING = 1, 2, 2
_FIRST_BYTES = (b"\x08", b"\x12")  # the version of the format, or a graph
_MAX_SIZE = 1 << 29  # bytes; that of a model of 24 layers takes 20 million

SENTENCEPIECE = "SentencepieceOp"  # tensorflow-text's holder of a model, which is its attribute
TOKENIZES = ("WordpieceTokenizeWithOffsets", "SentencepieceTokenizeOp", "SentencepieceTokenizeWithOffsetsOp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """The content of a `saved_model.pb`."""

    path: Path
    content: bytes = field(repr=False)

    def uses(self, op: str) -> bool:
        """Say whether a graph or function of the SavedModel has a node that does `op`.

        Raises: CheckpointError: the file is malformed.
        """
        return next(self._doing(op), None) is not None

    @property
    def tokenizes(self) -> bool:
        """Whether a function of the SavedModel turns text into tokens."""
        return any(map(self.uses, TOKENIZES))

    def sentencepiece_models(self) -> list[bytes]:
        """Return the distinct SentencePiece models that nodes hold. Raises: CheckpointError: the file is malformed."""
        models = [
            content
            for node in self._doing(SENTENCEPIECE)
            for attribute in self._children(node, _ATTRIBUTES)
            if b"model" in self._children(attribute, _KEY)
            for value in self._children(attribute, _VALUE)
            for content in self._children(value, _STRING)
        ]
        return list(dict.fromkeys(models))

    def _doing(self, op: str) -> Iterator[bytes]:
        """Yield the nodes that do `op`; a search first, for parsing takes a thousand times as long."""
        name = op.encode()  # under 128 bytes, so that its length is one
        if bytes([_OP << 3 | 2, len(name)]) + name not in self.content:
            return
        for node in self._nodes():
            if name in self._children(node, _OP):
                yield node

    def _nodes(self) -> Iterator[bytes]:
        for meta in self._children(self.content, _META_GRAPHS):
            for graph in self._children(meta, _GRAPH):
                yield from self._children(graph, _NODES)
                for library in self._children(graph, _LIBRARY):
                    for function in self._children(library, _FUNCTIONS):
                        yield from self._children(function, _FUNCTION_NODES)

    def _children(self, message: bytes, number: int) -> list[bytes]:
        """Return the messages or texts that a field of a message holds."""
        try:
            return [value for field, value in fields(message) if field == number and isinstance(value, bytes)]
        except ValueError as error:
            raise _damaged(self.path, str(error)) from None


def read_graph(directory: Path) -> Graph:
    """Read the `saved_model.pb` of a SavedModel's directory.

    Raises: CheckpointError: the file is missing, cut short, over 512 MiB, or no SavedModel.
    """
    path = directory / NAME
    check_magic(path, expected="a SavedModel", matches=lambda magic: magic[:1] in _FIRST_BYTES)
    if (size := path.stat().st_size) > _MAX_SIZE:
        raise _damaged(path, f"{size} bytes, over the {_MAX_SIZE} that are read")
    graph = Graph(path=path, content=path.read_bytes())
    if not graph._children(graph.content, _META_GRAPHS):  # parsed to the end, so that a cut is seen
        raise _damaged(path, f"no graph in its {len(graph.content)} bytes")
    return graph


def _damaged(path: Path, found: str) -> CheckpointError:
    return CheckpointError(f"{path} was to be read as a SavedModel; found {found}; fetch the SavedModel again")
