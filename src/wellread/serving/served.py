"""A module that is served: texts of requests as rows of its ids, and their vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wellread.backends.backend import FloatArray
from wellread.dataclass import dataclass
from wellread.encode import prompt_of
from wellread.module import Module
from wellread.serving.faults import Fault
from wellread.serving.lanes import Row, Vectors, packer_of
from wellread.text.batch import Ragged


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Read:
    """Texts as rows of ids, cut to what the module takes."""

    rows: list[Row]
    sizes: list[int]  # tokens that are computed of each, special ones included
    lost: list[int]  # tokens that found no room


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Served:
    """A module under the name that requests know it by."""

    name: str
    module: Module

    def read(self, texts: Sequence[str] | Sequence[list[int]], *, prompt: str = "", whole: bool = False) -> Read:
        """Turn texts into rows of ids, each behind a prompt; or take rows of ids.

        Raises: Fault for texts that are too long, if they are to be whole; for ids that are not of this module, and
            for ids where there is a prompt.
        """
        packer = packer_of(self.module)
        if texts and isinstance(texts[0], list):
            rows = Ragged.from_rows(self._own(texts, prompt))  # type: ignore[arg-type]
        else:
            given = [prompt + str(text) for text in texts] if prompt else texts
            rows = self.module.tokenizer.tokenize(given, limit=packer.room + packer.counted)  # type: ignore[arg-type]
        lengths, splits = rows.lengths.tolist(), rows.splits.tolist()
        kept = [min(length, packer.room) for length in lengths]
        lost = [length - size for length, size in zip(lengths, kept, strict=True)]
        if whole:
            refuse_cut(lost, self.module.max_seq_length)
        overhead = packer.template.overhead()
        return Read(
            rows=[rows.values[begin : begin + size].tobytes() for begin, size in zip(splits, kept, strict=False)],
            sizes=[size + overhead for size in kept],
            lost=lost,
        )

    def _own(self, rows: Sequence[list[int]], prompt: str) -> list[list[int]]:
        """Return rows of ids as `/tokenize` gives them without the special tokens at their ends, where they have them.

        Raises: Fault.
        """
        size = self.module.checkpoint.config.vocab_size
        if prompt:
            raise Fault("a prompt before ids was asked for; found no text that it could stand before; send texts")
        wrong = next((id for row in rows for id in row if not 0 <= id < size), None)
        if wrong is not None:
            raise Fault(
                f"ids of {self.name} were asked for, 0 to {size - 1}; found {wrong}; send what /tokenize says, or texts"
            )
        parts = [id for id, _ in packer_of(self.module).template.single]
        middle = parts.index(None)
        before, after = parts[:middle], parts[middle + 1 :]
        kept = []
        for row in rows:
            end = len(row) - len(after)
            special = end >= middle and row[:middle] == before and row[end:] == after
            kept.append(row[middle:end] if special else row)
        return kept

    def read_pairs(self, firsts: Sequence[str], seconds: Sequence[str] | None, *, whole: bool = False) -> Read:
        """Count the tokens of texts that a head reads, alone or with a second one; rows are left out.

        Raises: Fault as `read`.
        """
        head = self.module.checkpoint.head
        if head is not None and head.task == "answer" and seconds is not None:
            return self._read_windows(firsts, seconds, whole=whole)
        packer, segments = packer_of(self.module), 1 if seconds is None else 2
        room = packer.beside(segments)
        lengths = self.module.tokenizer.tokenize(firsts, limit=2 * room).lengths
        if seconds is not None:
            lengths = lengths + self.module.tokenizer.tokenize(seconds, limit=2 * room).lengths
        lost = [max(0, length - room) for length in lengths.tolist()]
        if whole:
            refuse_cut(lost, self.module.max_seq_length)
        overhead = packer.template.overhead(segments)
        return Read(rows=[], sizes=[min(length, room) + overhead for length in lengths.tolist()], lost=lost)

    def _read_windows(self, questions: Sequence[str], contexts: Sequence[str], *, whole: bool) -> Read:
        """Count the tokens of all windows over each context, which is never cut; a question may be."""
        from wellread.tasks.answer import windows

        length = self.module.max_seq_length
        parts = windows(self.module.tokenizer, questions, contexts, max_seq_length=length)
        lost = parts.truncated.tolist()
        if whole:
            refuse_cut(lost, length)
        tokens = parts.questions.lengths + parts.parts.lengths + packer_of(self.module).template.overhead(2)
        return Read(rows=[], sizes=np.bincount(parts.source, tokens).astype(int).tolist(), lost=lost)

    @property
    def takes_pairs(self) -> bool:
        """Whether the module's head is about two texts, and never about one."""
        head = self.module.checkpoint.head
        if head is None:
            return False
        from wellread.tasks.registry import task_named

        return task_named(head.task).takes_pairs == "yes"

    def prompt(self, name: str | None) -> str:
        """Return the prompt of that name, or the module's default. Raises: InputError."""
        return prompt_of(self.module.checkpoint.sentence, name, None)

    def prompt_for(self, name: str) -> str:
        """Return the prompt of that name, or none if the module has none, as `encode_query` does."""
        return self.module.prompts.get(name, "")

    def vectors(self, rows: Sequence[Row]) -> Sequence[FloatArray]:
        """Compute the vectors of rows as they are for requests."""
        return Vectors(name=self.name, prompt="", module=self.module).compute(rows)

    def warm(self) -> None:
        """Prepare the backend, so that the first request waits for nothing."""
        self.module.encode_counted(["A man is playing a guitar."])


def refuse_cut(lost: Sequence[int], length: int) -> None:
    """Refuse texts of which tokens would be cut. Raises: Fault that names the first."""
    cut = [number for number, count in enumerate(lost) if count]
    if cut:
        raise Fault(
            f"whole texts were asked for (truncate: false), of at most {length} tokens; text {cut[0]} has "
            f"{lost[cut[0]]} more{f' and {len(cut) - 1} others are too long' if cut[1:] else ''}; shorten them, or "
            "allow truncate"
        )
