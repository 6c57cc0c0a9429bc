"""Nodes that make ids of texts: a tokenizer inside a graph, from the tables of `text_tables`.

One node divides texts into characters (`Tokenizer`, of ONNX Runtime's own domain; it is in every build of it), one
gives each its class; from there on all is whole numbers, and the nodes are plain ONNX. The texts of a batch lie one
behind the other in a flat array [N], the symbol END behind each, and every step treats all of them at once: a trie is
walked from every place together (`longest`), and what a scan from left to right would take is what can be reached from
its first place by jumps (`chain`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from wellread.backends.onnx import Nodes
from wellread.export.graph_names import TEXT
from wellread.export.text_tables import (
    BOUNDARY,
    END,
    LETTER,
    MARK,
    SPACE,
    Expansion,
    ScoreTables,
    TextTables,
    Trie,
    WordTables,
)
from wellread.text.batch import Template

INT, BOOL, FLOAT, DOUBLE = TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT, TensorProto.DOUBLE
CHARACTERS, CLASSES = "com.microsoft", "ai.onnx.ml"  # domains: of the node that divides texts, of those that look up
OPSETS = {CHARACTERS: 1, CLASSES: 3}
ZERO = numpy_helper.from_array(np.zeros(1, np.int64))
MOST = 1 << 40  # turns of a loop that ends by itself
PREFIX = "text."  # before the names of values


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TextPart:
    """What a graph with a tokenizer inside does to a text."""

    tables: TextTables
    template: Template
    seq_length: int  # rows are cut to so many tokens


class Tokens(NamedTuple):
    """Ids of all texts, one behind the other, and the row of the text that each is of."""

    ids: str
    rows: str


class TextNodes(Nodes):
    """Nodes over flat arrays of whole numbers."""

    def __init__(self, prefix: str, constants: dict[str, Any]) -> None:
        """Begin; constants may be another graph's to share."""
        super().__init__(prefix, constants)
        self.loops = 0

    def number(self, value: int) -> str:
        """Add a whole number without axes."""
        name = f"{PREFIX}number_{value}"
        self.constants.setdefault(name, numpy_helper.from_array(np.array(value, np.int64), name))
        return name

    def table(self, name: str, array: Any) -> str:
        """Add a table under a name of its own."""
        return self.constant(f"{PREFIX}{name}", array)

    def look_up(self, name: str, array: Any, places: str) -> str:
        """Take numbers out of a table; whole ones lie there in 32 bits."""
        if array.dtype != np.int64:
            return self.node("Gather", self.table(name, array), places)
        return self.node("Cast", self.node("Gather", self.table(name, array.astype(np.int32)), places), to=INT)

    def pairs(self, first: str, second: str) -> str:
        """Put two arrays [N] side by side, [N, 2]."""
        return self.node("Concat", *(self.node("Unsqueeze", x, self.ints(1)) for x in (first, second)), axis=1)

    def count(self, x: str) -> str:
        """Return how long an array is, [1]."""
        return self.node("Shape", x, start=0, end=1)

    def alone(self, x: str) -> str:
        """Make a number of an array of one."""
        return self.node("Squeeze", x)

    def range(self, count: str) -> str:
        """Return 0, 1, 2 ... below a count [1]."""
        return self.node("Range", self.number(0), self.alone(count), self.number(1))

    def as_int(self, x: str) -> str:
        """Make whole numbers of booleans."""
        return self.node("Cast", x, to=INT)

    def sums(self, x: str, *, before: bool = False) -> str:
        """Return the sum up to each place, or, with `before`, of what stands before it."""
        return self.node("CumSum", x, self.number(0), exclusive=int(before))

    def total(self, x: str) -> str:
        """Return the sum, [1]."""
        return self.node("ReduceSum", x, self.ints(0), keepdims=1)

    def added(self, count: str, places: str, amounts: str) -> str:
        """Add amounts up at places of an array of so many zeros."""
        zeros = self.node("ConstantOfShape", count, value=ZERO)
        return self.node("ScatterElements", zeros, places, amounts, axis=0, reduction="add")

    def choose(self, x: str, mask: str) -> str:
        """Keep the places where a mask is true."""
        return self.node("Compress", x, mask, axis=0)

    def previous(self, x: str, first: str) -> str:
        """Return what stands one place before; `first` [1] before the first."""
        return self.node("Concat", first, self.node("Slice", x, self.ints(0), self.ints(-1)), axis=0)

    def both(self, a: str, b: str) -> str:
        """Say where both are true."""
        return self.node("And", a, b)

    def absent(self, a: str) -> str:
        """Say where it is not true."""
        return self.node("Not", a)

    def is_of(self, x: str, value: int) -> str:
        """Say where numbers are `value`."""
        return self.node("Equal", x, self.number(value))

    def loop(
        self,
        turns: str,
        carried: Sequence[str],
        body: Callable[..., tuple[str, list[str], list[str]]],
        types: Sequence[int] = (),
        scanned: Sequence[int] = (),
    ) -> list[str]:
        """Repeat nodes: `body` takes TextNodes, the number of the turn and what is carried.

        It returns whether to go on, what is carried on, and what is kept of each turn. Types are int64 unless named.
        """
        prefix, self.loops = f"{self.prefix}{self.loops}.", self.loops + 1
        types = types or [INT] * len(carried)
        inside = TextNodes(prefix, self.constants)
        inputs = [f"{prefix}in_{i}" for i in range(len(carried))]
        go_on, after, kept = body(inside, f"{prefix}turn", *inputs)
        first = [
            helper.make_tensor_value_info(f"{prefix}turn", INT, []),
            helper.make_tensor_value_info(f"{prefix}on", BOOL, []),
        ]
        given = [helper.make_tensor_value_info(name, kind, None) for name, kind in zip(inputs, types, strict=True)]
        results = zip([*after, *kept], [*types, *scanned], strict=True)
        ends = [helper.make_tensor_value_info(name, kind, None) for name, kind in results]
        ends.insert(0, helper.make_tensor_value_info(go_on, BOOL, []))
        graph = helper.make_graph(inside.nodes, f"{prefix}body", [*first, *given], ends)
        outputs = [f"{prefix}out_{i}" for i in range(len(after) + len(kept))]
        self.nodes.append(helper.make_node("Loop", [turns, "", *carried], outputs, f"{prefix}loop", body=graph))
        return outputs

    # -- steps ---------------------------------------------------------------------------------------------------

    def step(self, trie: Trie, padded: str, count: str, state: str, turn: str) -> str:
        """Walk an edge of a trie from the state of each place, by the number `turn` places behind it."""
        begin = self.node("Reshape", turn, self.ints(1))
        numbers = self.node("Slice", padded, begin, self.node("Add", begin, count))
        keys = self.node("Add", self.node("Mul", state, self.number(trie.width)), numbers)
        options = {"keys_int64s": list(trie.edges), "values_int64s": list(trie.edges.values()), "default_int64": -1}
        return self.node("LabelEncoder", keys, domain=CLASSES, **options)

    def longest(self, name: str, trie: Trie, numbers: str, roots: str) -> tuple[str, str]:
        """Return, of each place, length and value of the longest string that begins there; 0 and -1 of none."""
        count = self.count(numbers)
        padded = self.node("Concat", numbers, self.table(f"{name}.behind", np.zeros(trie.longest, np.int64)), axis=0)

        def body(inside: TextNodes, turn: str, state: str, lengths: str, values: str) -> Any:
            state = inside.step(trie, padded, count, state, turn)
            value = inside.look_up(f"{name}.values", trie.values, state)
            found = inside.node("GreaterOrEqual", value, inside.number(0))
            lengths = inside.node("Where", found, inside.node("Add", turn, inside.number(1)), lengths)
            return inside.alive(state), [state, lengths, inside.node("Where", found, value, values)], []

        none = self.node("ConstantOfShape", count, value=ZERO)
        first = [roots, none, self.node("Sub", none, self.number(1))]
        _, lengths, values = self.loop(self.number(trie.longest), first, body)
        return lengths, values

    def alive(self, states: str) -> str:
        """Say whether any walk goes on."""
        return self.node("GreaterOrEqual", self.node("ReduceMax", states, keepdims=0), self.number(0))

    def chain(self, starts: str, jumps: str) -> str:
        """Say which places are reached by jumps from those where `starts` is 1; a jump to the count ends it.

        Each turn doubles the jumps.
        """
        count = self.count(jumps)
        seen = self.node("Concat", starts, self.ints(0), axis=0)

        def body(inside: TextNodes, turn: str, seen: str, jumps: str) -> Any:
            more = inside.node("ScatterElements", seen, jumps, seen, axis=0, reduction="max")
            new = inside.node("ReduceMax", inside.node("Sub", more, seen), keepdims=0)
            further = inside.node("Gather", jumps, jumps)
            return inside.node("Greater", new, inside.number(0)), [more, further], []

        first = [seen, self.node("Concat", jumps, count, axis=0)]
        seen, _ = self.loop(self.number(MOST), first, body)
        return self.is_of(self.node("Slice", seen, self.ints(0), self.ints(-1)), 1)

    def spread(self, lengths: str) -> tuple[str, str]:
        """Repeat each place as often as `lengths` says: return the places, and which of its repetitions each is."""
        begins, total = self.sums(lengths, before=True), self.total(lengths)
        ones = self.node("Expand", self.number(1), self.count(lengths))
        marks = self.added(self.node("Add", total, self.ints(1)), begins, ones)
        marks = self.node("Slice", marks, self.ints(0), self.ints(-1))
        places = self.node("Sub", self.sums(marks), self.number(1))
        return places, self.node("Sub", self.range(total), self.node("Gather", begins, places))

    def expand(self, name: str, expansion: Expansion, numbers: str) -> tuple[str, str]:
        """Replace each number by what it becomes; return that, and the place that each comes from."""
        places, offsets = self.spread(self.look_up(f"{name}.lengths", expansion.lengths, numbers))
        lengths = self.node("Cast", self.table(f"{name}.lengths", expansion.lengths.astype(np.int32)), to=INT)
        first = self.node("Gather", self.sums(lengths, before=True), self.node("Gather", numbers, places))
        return self.look_up(name, expansion.values, self.node("Add", first, offsets)), places


# -- from characters to symbols --------------------------------------------------------------------------------------


def symbols_of(nodes: TextNodes, tables: TextTables) -> str:
    """Turn texts [B] into symbols [N]."""
    options = {"mark": 0, "mincharnum": 1, "pad_value": "", "separators": [""]}
    characters = nodes.node("Tokenizer", TEXT, domain=CHARACTERS, **options)
    named = {"": -1, **tables.characters}  # "" fills rows up
    classes = nodes.node(
        "LabelEncoder",
        characters,
        domain=CLASSES,
        keys_strings=[name.encode("utf-8") for name in named],
        values_int64s=list(named.values()),
        default_int64=tables.default,
    )
    ends = nodes.node("Expand", nodes.number(END), nodes.node("Concat", nodes.count(TEXT), nodes.ints(1), axis=0))
    flat = nodes.node("Reshape", nodes.node("Concat", classes, ends, axis=1), nodes.ints(-1))
    flat = nodes.choose(flat, nodes.node("GreaterOrEqual", flat, nodes.number(0)))
    if tables.tokens is not None:
        flat = replaced(nodes, "tokens", tables.tokens, flat)
    return nodes.expand("classes", tables.classes, flat)[0]


def replaced(nodes: TextNodes, name: str, trie: Trie, numbers: str, *, others: int = 0) -> str:
    """Replace strings by their values, from left to right, the longest first; other numbers grow by `others`."""
    none = nodes.node("ConstantOfShape", nodes.count(numbers), value=ZERO)
    lengths, values = nodes.longest(name, trie, numbers, none)
    places = nodes.range(nodes.count(numbers))
    jumps = nodes.node("Add", places, nodes.node("Max", lengths, nodes.ints(1)))
    reached = nodes.chain(nodes.as_int(nodes.is_of(places, 0)), jumps)
    begins = nodes.node("GreaterOrEqual", values, nodes.number(0))
    kept = nodes.node("Add", numbers, nodes.number(others))
    return nodes.choose(nodes.node("Where", begins, values, kept), reached)


# -- from symbols to ids ---------------------------------------------------------------------------------------------


def tokens_of(nodes: TextNodes, tables: TextTables) -> Tokens:
    """Turn texts [B] into ids."""
    symbols = symbols_of(nodes, tables)
    if isinstance(tables.model, ScoreTables):
        return _unigram(nodes, tables, tables.model, symbols)
    return _wordpiece(nodes, tables, tables.model, symbols)


def _rows(nodes: TextNodes, symbols: str) -> str:
    """Return the row of the text that each symbol is of."""
    return nodes.sums(nodes.as_int(nodes.is_of(symbols, END)), before=True)


def _wordpiece(nodes: TextNodes, tables: TextTables, model: WordTables, symbols: str) -> Tokens:
    """Cut words from their beginning, the longest piece first; a word that no pieces make up is unknown whole."""
    letter = nodes.is_of(nodes.look_up("kinds", tables.kinds, symbols), LETTER)
    no = nodes.node("Cast", nodes.ints(0), to=BOOL)
    starts = nodes.both(letter, nodes.absent(nodes.previous(letter, no)))
    lengths, values = nodes.longest("pieces", model.pieces, symbols, nodes.as_int(nodes.absent(starts)))
    count = nodes.count(symbols)
    known = nodes.node("Greater", lengths, nodes.number(0))
    jumps = nodes.node("Where", known, nodes.node("Add", nodes.range(count), lengths), count)
    reached = nodes.both(nodes.chain(nodes.as_int(starts), jumps), letter)
    word = nodes.sums(nodes.as_int(starts))  # from 1 on
    words = nodes.node("Add", nodes.total(nodes.as_int(starts)), nodes.ints(1))
    sizes = nodes.node("Mul", nodes.look_up("sizes", model.sizes, symbols), nodes.as_int(letter))
    long = nodes.node("Greater", nodes.added(words, word, sizes), nodes.number(model.longest))
    lost = nodes.added(words, word, nodes.as_int(nodes.both(reached, nodes.absent(known))))
    bad = nodes.node("Or", long, nodes.node("Greater", lost, nodes.number(0)))
    unknown = nodes.node("Gather", bad, word)
    kept = nodes.node("Or", nodes.both(unknown, starts), nodes.both(nodes.absent(unknown), reached))
    ids = nodes.node("Where", unknown, nodes.number(tables.unknown), values)
    return Tokens(nodes.choose(ids, kept), nodes.choose(_rows(nodes, symbols), kept))


def _unigram(nodes: TextNodes, tables: TextTables, model: ScoreTables, symbols: str) -> Tokens:
    """Cut stretches of text into the pieces of the highest sum of scores (Viterbi)."""
    if model.sequences is not None:
        single = len(model.replacements.lengths) - len(tables.kinds)  # behind these stand symbols by themselves
        symbols = replaced(nodes, "sequences", model.sequences, symbols, others=single)
        symbols, _ = nodes.expand("replacements", model.replacements, symbols)
    symbols = _words(nodes, tables, symbols) if model.words else _stretches(nodes, tables, model, symbols)
    letter = nodes.is_of(nodes.look_up("kinds", tables.kinds, symbols), LETTER)
    no = nodes.node("Cast", nodes.ints(0), to=BOOL)
    starts = nodes.absent(nodes.previous(letter, no))
    if model.words:
        starts = nodes.node("Or", starts, nodes.is_of(symbols, MARK))
    ends, values = _best_cut(nodes, model, symbols, letter, nodes.both(letter, starts))
    special = nodes.look_up("special", tables.special, symbols)
    is_special = nodes.node("GreaterOrEqual", special, nodes.number(0))
    unknown = nodes.both(ends, nodes.is_of(values, len(model.ids) - 2))
    kept = nodes.node("Or", ends, is_special)
    stretch = nodes.choose(nodes.sums(nodes.as_int(nodes.both(letter, starts))), kept)
    rows, unknown, is_special = (nodes.choose(x, kept) for x in (_rows(nodes, symbols), unknown, is_special))
    special, values = nodes.choose(special, kept), nodes.choose(values, kept)
    same = nodes.node("Equal", stretch, nodes.previous(stretch, nodes.ints(0)))
    again = nodes.both(nodes.both(unknown, same), nodes.previous(unknown, no))  # unknown characters are one token
    if model.split is None:
        ids = nodes.node("Where", is_special, special, nodes.look_up("ids", model.ids, values))
    else:
        ids = nodes.node("Where", is_special, nodes.node("Add", special, nodes.number(len(model.ids))), values)
    ids, rows = (nodes.choose(x, nodes.absent(again)) for x in (ids, rows))
    if model.split is not None:
        ids, places = nodes.expand("split", model.split, ids)
        rows = nodes.node("Gather", rows, places)
    return Tokens(ids, rows)


def _words(nodes: TextNodes, tables: TextTables, symbols: str) -> str:
    """Put a "▁" before each word that does not begin with one."""
    letter = nodes.is_of(nodes.look_up("kinds", tables.kinds, symbols), LETTER)
    no = nodes.node("Cast", nodes.ints(0), to=BOOL)
    starts = nodes.both(letter, nodes.absent(nodes.previous(letter, no)))
    return _marked(nodes, symbols, nodes.both(starts, nodes.absent(nodes.is_of(symbols, MARK))))


def _marked(nodes: TextNodes, symbols: str, where: str) -> str:
    """Put a "▁" before symbols."""
    places, offsets = nodes.spread(nodes.node("Add", nodes.as_int(where), nodes.number(1)))
    added = nodes.both(nodes.node("Gather", where, places), nodes.is_of(offsets, 0))
    return nodes.node("Where", added, nodes.number(MARK), nodes.node("Gather", symbols, places))


def _stretches(nodes: TextNodes, tables: TextTables, model: ScoreTables, symbols: str) -> str:
    """Treat spaces as SentencePiece does: none at the ends of a stretch, one for several, a "▁" for each."""
    kinds = nodes.look_up("kinds", tables.kinds, symbols)
    before = nodes.previous(kinds, nodes.ints(BOUNDARY))
    surplus = nodes.both(nodes.is_of(kinds, SPACE), nodes.absent(nodes.is_of(before, LETTER)))
    symbols = nodes.choose(symbols, nodes.absent(surplus))
    kinds = nodes.look_up("kinds", tables.kinds, symbols)
    boundary = nodes.as_int(nodes.is_of(kinds, BOUNDARY))
    solid = nodes.as_int(nodes.both(nodes.is_of(kinds, LETTER), nodes.absent(nodes.is_of(symbols, MARK))))
    stretch = nodes.sums(boundary, before=True)
    totals = nodes.added(nodes.node("Add", nodes.total(boundary), nodes.ints(1)), stretch, solid)
    reached = nodes.node("Gather", nodes.sums(totals), stretch)  # solid symbols up to the end of the stretch
    behind = nodes.node("Equal", nodes.sums(solid), reached)
    trailing = nodes.both(behind, nodes.is_of(nodes.node("Add", solid, boundary), 0))
    symbols = nodes.choose(symbols, nodes.absent(trailing))
    kinds = nodes.look_up("kinds", tables.kinds, symbols)
    symbols = nodes.node("Where", nodes.is_of(kinds, SPACE), nodes.number(MARK), symbols)
    if not model.dummy_prefix:
        return symbols
    before = nodes.is_of(nodes.previous(kinds, nodes.ints(BOUNDARY)), BOUNDARY)
    return _marked(nodes, symbols, nodes.both(before, nodes.absent(nodes.is_of(kinds, BOUNDARY))))


def _best_cut(nodes: TextNodes, model: ScoreTables, symbols: str, letter: str, starts: str) -> tuple[str, str]:
    """Say where pieces of the best cut end, and which they are; stretches begin at `starts`.

    Scores are added in the libraries' order and precision, and of equal sums the longest last piece wins, as there.
    """
    count, values = nodes.count(symbols), _pieces_by_end(nodes, model, symbols)  # [N, L], the longest first
    kind = DOUBLE if model.scores.dtype == np.float64 else FLOAT
    width = nodes.node("Shape", values, start=1, end=2)
    scores = nodes.look_up("scores", model.scores, values)
    starting = nodes.as_int(starts)
    last = nodes.total(starting)  # the number of one stretch more, of no length, for what is no letter
    stretches = nodes.node("Add", last, nodes.ints(1))
    number = nodes.node("Where", letter, nodes.node("Sub", nodes.sums(starting), nodes.number(1)), last)
    sizes = nodes.added(stretches, number, nodes.as_int(letter))
    begins = nodes.node("Concat", nodes.choose(nodes.range(count), starts), nodes.ints(0), axis=0)
    final = nodes.node("Sub", count, nodes.ints(1))

    def body(inside: TextNodes, turn: str, before: str) -> Any:
        places = inside.node("Min", inside.node("Add", begins, turn), final)
        sums = inside.node("Add", before, inside.node("Gather", scores, places))
        best = inside.node("ReduceMax", sums, inside.ints(1), keepdims=1)
        later = inside.node("Slice", before, inside.ints(1), width, inside.ints(1))
        choice = inside.node("Cast", inside.node("ArgMax", sums, axis=1, keepdims=0), to=TensorProto.INT32)
        yes = inside.node("Cast", inside.number(1), to=BOOL)
        return yes, [inside.node("Concat", later, best, axis=1)], [choice]

    infinite = nodes.table("infinite", np.array(-np.inf, model.scores.dtype))
    is_last = nodes.node("Equal", nodes.range(width), nodes.node("Sub", width, nodes.ints(1)))
    nothing = nodes.node("Where", is_last, nodes.table("nothing", np.array(0, model.scores.dtype)), infinite)
    first = nodes.node("Expand", nothing, nodes.node("Concat", stretches, width, axis=0))
    turns = nodes.node("Max", nodes.node("ReduceMax", sizes, keepdims=0), nodes.number(1))
    _, choices = nodes.loop(turns, [first], body, [kind], [TensorProto.INT32])
    offsets = nodes.node("Sub", nodes.range(count), nodes.node("Gather", begins, number))
    offsets = nodes.node("Where", letter, offsets, nodes.number(0))
    choice = nodes.node("Cast", nodes.node("GatherND", choices, nodes.pairs(offsets, number)), to=INT)  # [N]
    lengths = nodes.node("Sub", width, choice)
    inside = nodes.node("GreaterOrEqual", offsets, lengths)
    jumps = nodes.node("Where", inside, nodes.node("Sub", nodes.range(count), lengths), count)
    is_end = nodes.node("Equal", nodes.node("Add", offsets, nodes.number(1)), nodes.node("Gather", sizes, number))
    ends = nodes.both(nodes.chain(nodes.as_int(nodes.both(letter, is_end)), jumps), letter)
    column = nodes.node("Unsqueeze", choice, nodes.ints(1))
    return ends, nodes.node("Squeeze", nodes.node("GatherElements", values, column, axis=1), nodes.ints(1))


def _pieces_by_end(nodes: TextNodes, model: ScoreTables, symbols: str) -> str:
    """Return which pieces end at each place [N, L], those of L symbols first; -1: none. Every symbol is a piece."""
    count = nodes.count(symbols)
    longest = model.pieces.longest
    padded = nodes.node("Concat", symbols, nodes.table("pieces.behind", np.zeros(longest, np.int64)), axis=0)

    def body(inside: TextNodes, turn: str, state: str) -> Any:
        state = inside.step(model.pieces, padded, count, state, turn)
        value = inside.look_up("pieces.values", model.pieces.values, state)
        strange = inside.both(inside.node("Less", value, inside.number(0)), inside.is_of(turn, 0))
        value = inside.node("Where", strange, inside.number(len(model.ids) - 2), value)
        begin = inside.node("Reshape", turn, inside.ints(1))
        kept = inside.node("Slice", value, inside.ints(0), inside.node("Sub", count, begin))
        none = inside.node("Expand", inside.number(-1), begin)
        return inside.alive(state), [state], [inside.node("Concat", none, kept, axis=0)]

    roots = nodes.node("ConstantOfShape", count, value=ZERO)
    _, values = nodes.loop(nodes.number(longest), [roots], body, scanned=[INT])
    backwards = nodes.node("Slice", values, nodes.ints(-1), nodes.ints(-longest - 1), nodes.ints(0), nodes.ints(-1))
    return nodes.node("Transpose", backwards, perm=[1, 0])


# -- from ids to rows ------------------------------------------------------------------------------------------------


def pack(nodes: TextNodes, tokens: Tokens, template: Template, *, seq_length: int) -> list[str]:
    """Put ids into rows [B, T] with the template's special tokens, cut to `seq_length`: ids, mask and types."""
    rows, room, first = nodes.count(TEXT), template.room(seq_length), template.first_column
    ones = nodes.node("Expand", nodes.number(1), nodes.count(tokens.rows))
    counts = nodes.added(rows, tokens.rows, ones)
    begins = nodes.node("Gather", nodes.sums(counts, before=True), tokens.rows)
    offsets = nodes.node("Sub", nodes.range(nodes.count(tokens.ids)), begins)
    fits = nodes.node("Less", offsets, nodes.number(room))
    kept = nodes.node("Min", counts, nodes.ints(room))
    columns = nodes.node("Add", nodes.choose(offsets, fits), nodes.number(first))
    places = [nodes.pairs(nodes.choose(tokens.rows, fits), columns)]
    ids = [nodes.choose(tokens.ids, fits)]
    for column, (id, _) in enumerate(template.single):
        if id is not None:
            behind = nodes.node("Expand", nodes.number(0), rows) if column < first else kept
            columns = nodes.node("Add", behind, nodes.number(column if column < first else column - 1))
            places.append(nodes.pairs(nodes.range(rows), columns))
            ids.append(nodes.node("Expand", nodes.number(id), rows))
    sizes = nodes.node("Add", kept, nodes.ints(template.overhead()))
    shape = nodes.node("Concat", rows, nodes.node("ReduceMax", sizes, keepdims=1), axis=0)
    blank = nodes.node("Expand", nodes.number(template.special.pad), shape)
    packed = nodes.node("ScatterND", blank, nodes.node("Concat", *places, axis=0), nodes.node("Concat", *ids, axis=0))
    every = nodes.range(nodes.node("Slice", shape, nodes.ints(1), nodes.ints(2)))
    mask = nodes.as_int(nodes.node("Less", every, nodes.node("Unsqueeze", sizes, nodes.ints(1))))
    return [packed, mask, nodes.node("ConstantOfShape", shape, value=ZERO)]
