"""A vocabulary is read line by line, and what it lacks is named."""

from pathlib import Path

import pytest
from tokenizers import models

from wellread.config import TokenizerConfig
from wellread.errors import InputError, TextError
from wellread.text.vocabulary import SpecialTokens, Vocabulary, by_id

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
    (tmp_path / "vocab.txt").write_bytes("\n".join([*odd, *PIECES]).encode())
    vocabulary = Vocabulary.read(tmp_path / "vocab.txt", TokenizerConfig(dialect="tfhub"))
    assert vocabulary.pieces[: len(odd)] == tuple(odd)


@pytest.mark.parametrize("odd", ["lute ", "lute\t\u3000", "lute\x85\xa0", "lute\x1c", "lute\u200b", "\u2028", "a\rb"])
def test_white_space_behind_a_piece_is_what_the_tokenizers_library_takes_it_for(tmp_path: Path, odd: str) -> None:
    content = "\n".join([*PIECES, odd, "flute"])
    ours = read(tmp_path, content.encode())
    theirs = models.WordPiece.from_file(str(tmp_path / "vocab.txt"), unk_token="[UNK]")
    assert theirs.token_to_id(ours.pieces[7]) == 7
    assert (ours.pieces[7] != odd) == any("white space behind 1 pieces" in note for note in ours.notes)


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


def test_of_a_piece_that_stands_twice_the_last_id_holds(tmp_path: Path) -> None:
    vocabulary = read(tmp_path, "\n".join(["guitar", "##s", "guitar", *PIECES]).encode())
    assert vocabulary.ids(["guitar", "##s", "[MASK]"]) == [8, 9, 7]
    assert (len(vocabulary), vocabulary.lookup([0, 8])) == (10, ["guitar", "guitar"])
    assert vocabulary.notes == {
        "vocab.txt, 3 pieces": "stand twice; the last id holds: 'guitar', '##s', 'guitar'",
    }


def test_blank_lines_are_no_pieces(tmp_path: Path) -> None:
    vocabulary = read(tmp_path, ("\n".join(PIECES) + "\n\n\n").encode())
    assert vocabulary.pieces == tuple(PIECES)
    assert vocabulary.notes == {"vocab.txt, 2 blank lines at the end": "are no pieces"}
    inside = read(tmp_path, "\n".join([*PIECES, "", "flute"]).encode())
    assert (inside.index["flute"], inside.index.get("")) == (8, None)
    assert inside.notes == {"vocab.txt, 1 ids": "have no piece"}


def test_refuses_a_missing_special_token_but_the_mask(tmp_path: Path) -> None:
    message = (
        r"vocab.txt must hold the special tokens that its rows need; of its 5 pieces none is \[PAD\]; name the right"
    )
    with pytest.raises(TextError, match=message):
        read(tmp_path, b"[UNK]\n[CLS]\n[SEP]\na\nb\n")
    vocabulary = read(tmp_path, b"[UNK]\n[CLS]\n[SEP]\na\n[PAD]\n")
    assert vocabulary.special == SpecialTokens(unk=0, cls=1, sep=2, pad=4, mask=None)
    assert vocabulary.special.ids == (0, 4, 1, 2)
    assert vocabulary.notes == {"vocab.txt, mask_token": "the vocabulary has no [MASK]; nothing can be masked"}


def test_a_vocabulary_may_do_without_special_tokens() -> None:
    none = dict.fromkeys(("unk_token", "pad_token", "cls_token", "sep_token", "mask_token"))
    vocabulary = Vocabulary.of(["a", "b"], TokenizerConfig(dialect="fast", **none))
    assert vocabulary.special == SpecialTokens(unk=None, pad=0, cls=None, sep=None, mask=None)
    with pytest.raises(InputError, match="ids of 2 pieces were asked for; the vocabulary has no 'c', nor a token for"):
        vocabulary.ids(["a", "c"])


@pytest.mark.parametrize(
    ("ids", "found"),
    [
        ({"a": 0, "b": -1}, "'b' have others"),
        ({"a": 0, "b": True}, "'b' have others"),
        ({"a": 0, "b": 0}, "found 1 ids up to 0"),
        ({"a": 0, "b": 2_000_000_000}, "found 2 ids up to 2000000000"),
        ({"a": 0, "b": 1.0}, "'b' have others"),
    ],
)
def test_ids_that_are_none_are_refused_in_bounded_memory(ids: dict[str, int], found: str) -> None:
    with pytest.raises(TextError, match=f"the 2 pieces of here must each have an id of their own.*{found}; fetch"):
        by_id(ids, source="here")


def test_an_id_without_a_piece_is_a_hole() -> None:
    assert by_id({"a": 0, "c": 2}, source="here") == ["a", "", "c"]


def test_a_file_of_gigabytes_is_refused_unread(tmp_path: Path) -> None:
    with (tmp_path / "vocab.txt").open("wb") as file:
        file.truncate(3_000_000_000)
    with pytest.raises(
        TextError, match="must have at most 100,000,000 bytes; found 3,000,000,000, more than a million pieces"
    ):
        Vocabulary.read(tmp_path / "vocab.txt", CONFIG)


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
