"""A vocabulary is read line by line, and what it lacks is named."""

from pathlib import Path

import pytest

from wellread.config import TokenizerConfig
from wellread.errors import InputError, TextError
from wellread.text.vocabulary import SpecialTokens, Vocabulary

CONFIG = TokenizerConfig(dialect="hf")
PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "guitar", "##s"]


def read(directory: Path, content: bytes) -> Vocabulary:
    (directory / "vocab.txt").write_bytes(content)
    return Vocabulary.read(directory / "vocab.txt", CONFIG)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_ids_are_line_numbers(tmp_path: Path, end: str) -> None:
    vocabulary = read(tmp_path, (end.join(PIECES) + end).encode())
    assert vocabulary.pieces == tuple(PIECES)
    assert len(vocabulary) == 7
    assert vocabulary.special == SpecialTokens(pad=0, unk=1, cls=2, sep=3, mask=4)


def test_the_last_line_needs_no_end(tmp_path: Path) -> None:
    assert len(read(tmp_path, "\n".join(PIECES).encode())) == 7


def test_only_line_feeds_end_a_line(tmp_path: Path) -> None:
    odd = ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "a\rb", " padded ", ""]
    vocabulary = read(tmp_path, "\n".join([*odd, *PIECES]).encode())
    assert vocabulary.pieces[: len(odd)] == tuple(odd)


def test_ids_and_pieces_are_inverse_and_the_unknown_is_unknown() -> None:
    vocabulary = Vocabulary.of(PIECES, CONFIG)
    assert vocabulary.ids(PIECES) == list(range(7))
    assert vocabulary.lookup(range(7)) == PIECES
    assert vocabulary.ids(["lute", "guitar"]) == [1, 5]
    assert vocabulary.without_special(range(7)) == [5, 6]


def test_refuses_ids_outside() -> None:
    vocabulary = Vocabulary.of(PIECES, CONFIG)
    with pytest.raises(
        InputError, match="pieces of 3 ids were asked for; the vocabulary has 7, and 7, -1 lie outside; "
    ):
        vocabulary.lookup([7, 0, -1])
    with pytest.raises(InputError, match="7, 8, 9, 10, 11 and 3 more lie outside; pass ids of 0 to 6"):
        vocabulary.lookup(range(7, 15))


def test_refuses_an_empty_file(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"a vocabulary was asked of .*vocab.txt; it holds 0 pieces; give one"):
        read(tmp_path, b"")


def test_refuses_repetitions(tmp_path: Path) -> None:
    message = (
        r"every piece of .*vocab.txt must stand once; of 10 only 7 are distinct, repeated: 'guitar', '##s', 'guitar'"
    )
    with pytest.raises(TextError, match=message):
        read(tmp_path, "\n".join(["guitar", "##s", "guitar", *PIECES]).encode())


def test_refuses_a_missing_special_token(tmp_path: Path) -> None:
    message = (
        r"vocab.txt must hold the 5 special tokens; of its 5 pieces none is \[PAD\], \[MASK\]; name the right ones"
    )
    with pytest.raises(TextError, match=message):
        read(tmp_path, b"[UNK]\n[CLS]\n[SEP]\na\nb\n")


def test_special_tokens_may_have_other_names() -> None:
    config = TokenizerConfig(dialect="hf", unk_token="<unk>", pad_token="<pad>", mask_token="<mask>")
    vocabulary = Vocabulary.of(["<pad>", "[SEP]", "<mask>", "[CLS]", "<unk>"], config)
    assert vocabulary.special == SpecialTokens(pad=0, sep=1, mask=2, cls=3, unk=4)


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"vocab.txt was asked for; found none \(No such file or directory\); check"):
        Vocabulary.read(tmp_path / "vocab.txt", CONFIG)


def test_refuses_a_file_that_is_not_utf8(tmp_path: Path) -> None:
    with pytest.raises(TextError, match=r"vocab.txt must be UTF-8; byte 2 of 4 is not; store the file in UTF-8"):
        read(tmp_path, b"a\n\xff\n")
