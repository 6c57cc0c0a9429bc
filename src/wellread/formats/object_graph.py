"""The object graph of a TensorFlow 2 checkpoint: which variable of which object stands under which key of the bundle.

The messages are defined in tensorflow/core/protobuf/trackable_object_graph.proto.
"""

from __future__ import annotations

from collections import deque

from wellread.dataclass import dataclass
from wellread.errors import CheckpointError
from wellread.formats.protobuf import Message, parse

OBJECT_GRAPH_KEY = "_CHECKPOINTABLE_OBJECT_GRAPH"  # the key of the bundle's string that holds it

_NODES = 1
# of a node; that a node was saved by a saver of its own (4), or holds values (5), moves no variable
_CHILDREN, _ATTRIBUTES, _SLOTS, _REGISTERED_SAVER, _HAS_VALUES = 1, 2, 3, 4, 5
_NODE_FIELDS = {_CHILDREN, _ATTRIBUTES, _SLOTS, _REGISTERED_SAVER, _HAS_VALUES}
_CHILD_NODE, _CHILD_NAME = 1, 2
# of an attribute; whether restoring it may be left out (4, in older files) is a matter of its program
_ATTRIBUTE, _FULL_NAME, _KEY, _OPTIONAL = 1, 2, 3, 4
_ATTRIBUTE_FIELDS = {_ATTRIBUTE, _FULL_NAME, _KEY, _OPTIONAL}
_SLOT_OF, _SLOT_NAME, _SLOT_NODE = 1, 2, 3  # of a slot variable, which an optimizer keeps beside another
_SLOT_FIELDS = {_SLOT_OF, _SLOT_NAME, _SLOT_NODE}
_MAX_CONTENT = 4_000_000  # bytes; a model of twelve layers takes less than one million
_MAX_NODES = 100_000
_MAX_PATHS = 64_000_000  # characters of all paths: nodes that hang on one another make them long


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable, or another state of an object, that a checkpoint holds."""

    key: str  # in the bundle
    name: str  # the variable's own, as "word_embeddings/embeddings"; empty where none was recorded
    path: str  # the attributes that lead to it from the root, as "mlm.encoder.x"; the shortest, of these the first
    slot: bool  # an optimizer's, beside another variable; its path is empty if nothing but the optimizer leads to it


def read_object_graph(content: bytes, *, source: object) -> list[Variable]:
    """List everything that an object graph gives a key, in the order of its nodes; `source` names the file.

    Objects that refer to each other in a circle are common, and no fault. A string that an object saved is listed too.

    Raises:
        CheckpointError: the graph is malformed or hostile, or refers to an object that it does not hold.
    """
    try:
        return _variables(content)
    except ValueError as error:
        raise CheckpointError(
            f"the object graph of {source} was to be read; found {error}; fetch the checkpoint again"
        ) from None


def _variables(content: bytes) -> list[Variable]:
    if len(content) > _MAX_CONTENT:
        raise ValueError(f"{len(content)} bytes (at most {_MAX_CONTENT} are read)")
    raws = parse(content, known={_NODES}).contents(_NODES)
    if not 0 < len(raws) <= _MAX_NODES:
        raise ValueError(f"{len(raws)} objects (1 to {_MAX_NODES} are read)")
    nodes = [parse(raw, known=_NODE_FIELDS) for raw in raws]
    paths = _paths(nodes)
    slots = set()
    for slot in (parse(raw, known=_SLOT_FIELDS) for node in nodes for raw in node.contents(_SLOTS)):
        _reference(slot, _SLOT_OF, len(nodes))
        slots.add(_reference(slot, _SLOT_NODE, len(nodes)))
    return [
        Variable(key=key, name=attribute.text(_FULL_NAME), path=paths.get(i, ""), slot=i in slots)
        for i, node in enumerate(nodes)
        for attribute in [parse(raw, known=_ATTRIBUTE_FIELDS) for raw in node.contents(_ATTRIBUTES)]
        if (key := attribute.text(_KEY))
    ]


def _paths(nodes: list[Message]) -> dict[int, str]:
    """Walk from the root, breadth first; return the path of every node that children lead to."""
    paths, queue, total = {0: ""}, deque([0]), 0
    while queue:
        path = paths[node := queue.popleft()]
        for raw in nodes[node].contents(_CHILDREN):
            child = parse(raw, known={_CHILD_NODE, _CHILD_NAME})
            to, name = _reference(child, _CHILD_NODE, len(nodes)), child.text(_CHILD_NAME)
            if to in paths:
                continue
            if (total := total + len(path) + len(name) + 1) > _MAX_PATHS:
                raise ValueError(f"paths of more than {_MAX_PATHS} characters")
            paths[to] = f"{path}.{name}" if path else name
            queue.append(to)
    return paths


def _reference(message: Message, field: int, count: int) -> int:
    node = message.number(field)
    if not 0 <= node < count:
        raise ValueError(f"a reference to object {node} of {count}")
    return node
