"""Labels go from tokens to pieces and come back as tags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny import tiny_tokenizer

from wellread.config import TokenizerConfig
from wellread.data.examples import take_examples
from wellread.errors import DataError, InputError
from wellread.tasks.tag import IGNORED, align, piece_labels, read_tags, words
from wellread.text.tokenizer import load_tokenizer

DATA = Path(__file__).parent.parent / "data"
LABELS = ("O", "B-LC", "I-LC", "B-PS", "I-PS")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_tokenizer(tmp_path_factory.mktemp("tags"))


@pytest.fixture(scope="module")
def kobert():
    return load_tokenizer(DATA / "kobert", TokenizerConfig(dialect="kobert", model_file="tokenizer_78b3253a26.model"))


def characters(text):
    return [(place, place + 1) for place in range(len(text))]


def said(aligned, row, labels):
    """Read tags from logits that are sure of the labels of a row's pieces."""
    return read_tags(aligned, row, 9 * np.eye(len(LABELS))[[LABELS.index(label) for label in labels]], LABELS)


def test_the_first_piece_of_a_word_bears_its_label(tiny):
    aligned = align(tiny, ["playing guitars", "", "paris"])
    assert aligned.rows.to_list() == tiny.tokenize(["playing guitars", "", "paris"]).to_list()
    assert aligned.spans == [[(0, 7), (8, 15)], [], [(0, 5)]]
    assert aligned.places.to_list() == [[0, 1], [], [0]]
    assert piece_labels(aligned, [[3, 4], [], [1]]).to_list() == [[3, 4, IGNORED], [], [1]]


def test_tokens_in_one_piece_and_blanks_without(tiny):
    text = "paris  plays"
    aligned = align(tiny, [text], [[(0, 2), (2, 5), (5, 7), (7, 12)]])
    assert aligned.places.to_list() == [[0, 0, -1, 1]]
    assert aligned.begins.to_list() == [[1, 0, 0, 1]]
    assert piece_labels(aligned, [[1, 2, 0, 3]]).to_list() == [[1, 3]]
    assert said(aligned, 0, ["B-LC", "O"]).tags == ["B-LC", "I-LC", "O", "O"]


def test_a_token_whose_first_character_no_piece_holds_takes_the_next(tiny):
    aligned = align(tiny, ["\x00paris a"])
    assert aligned.places.to_list() == [[0, 1]]
    assert aligned.begins.to_list() == [[1, 1]]


def test_rows_are_kept_apart(tiny):
    """Nothing of one text is found in the next, though all are looked up together."""
    texts = ["a ", "", " man", "\x00", "the cat"]
    together = align(tiny, texts)
    for row, text in enumerate(texts):
        alone = align(tiny, [text])
        assert together.places[row].tolist() == alone.places[0].tolist()
        assert together.begins[row].tolist() == alone.begins[0].tolist()


def test_characters_of_korean_come_back(kobert):
    text = "서울 역에 간 홍길동"
    tags = ["B-LC", "I-LC", "I-LC", "I-LC", "O", "O", "O", "O", "B-PS", "I-PS", "I-PS"]
    aligned = align(kobert, [text], [characters(text)])
    labels = piece_labels(aligned, [[LABELS.index(tag) for tag in tags]])[0]
    back = said(aligned, 0, [LABELS[max(label, 0)] for label in labels.tolist()])
    assert back.tags == tags
    assert [(found.entity, found.text, found.start, found.end) for found in back.entities] == [
        ("LC", "서울 역", 0, 4),
        ("PS", "홍길동", 8, 11),
    ]


def test_a_blank_between_two_entities_or_behind_one_is_outside(kobert):
    text = "서울 부산 역"
    aligned = align(kobert, [text], [characters(text)])
    pieces = kobert.pieces(aligned.rows[0].tolist())
    assert [piece.strip("▁") for piece in pieces] == ["서울", "부산", "역"]
    assert said(aligned, 0, ["B-LC", "B-LC", "O"]).tags == ["B-LC", "I-LC", "O", "B-LC", "I-LC", "O", "O"]
    assert said(aligned, 0, ["B-LC", "I-PS", "I-PS"]).tags == ["B-LC", "I-LC", "O", "I-PS", "I-PS", "I-PS", "I-PS"]


def test_entities_and_their_scores(tiny):
    aligned = align(tiny, ["a man in paris france runs"])
    chances = np.full((len(aligned.rows[0]), len(LABELS)), 0.01)
    for place, (label, chance) in enumerate([(0, 0.96), (3, 0.96), (0, 0.96), (1, 0.96), (2, 0.5), (1, 0.96)]):
        chances[place, label] = chance
    found = read_tags(aligned, 0, np.log(chances), LABELS)
    assert found.tags == ["O", "B-PS", "O", "B-LC", "I-LC", "B-LC"]
    assert [(one.entity, one.text) for one in found.entities] == [("PS", "man"), ("LC", "paris france"), ("LC", "runs")]
    assert found.scores[4] == pytest.approx(0.5 / 0.54)
    assert found.entities[1].score == pytest.approx((0.96 + 0.5 / 0.54) / 2)
    assert found.tokens[3] == (9, 14)


def test_labels_without_marks_are_joined_while_they_last(tiny):
    aligned = align(tiny, ["paris france runs a"])
    logits = 9 * np.eye(3)[[1, 1, 2, 0]]
    found = read_tags(aligned, 0, logits, ("O", "LOC", "PER"))
    assert [(one.entity, one.text) for one in found.entities] == [("LOC", "paris france"), ("PER", "runs")]


def test_what_was_cut_off_is_outside(tiny):
    aligned = align(tiny, ["paris france runs"])
    found = read_tags(aligned, 0, 9 * np.eye(5)[[1]], LABELS)
    assert found.tags == ["B-LC", "O", "O"]
    assert found.scores[1:] == [0, 0]


def test_words_are_split_at_any_blank():
    assert words("a\u3000길\n b ") == [(0, 1), (2, 3), (5, 6)]


@pytest.mark.parametrize("spans", [[(0, 99)], [(-1, 2)], [(0, 3), (2, 4)], [(3, 1)]])
def test_spans_that_do_not_fit_are_refused(tiny, spans):
    with pytest.raises(InputError, match=r"spans of characters in order, inside their text; found .* in row 1, a text"):
        align(tiny, ["a", "a man"], [[], spans])


def test_spans_of_other_texts_are_refused(tiny):
    with pytest.raises(InputError, match="tokens of 2 texts were asked for; found those of 1; match them"):
        align(tiny, ["a", "b"], [[]])


@pytest.mark.parametrize(("labels", "found"), [([[1]], "1 of 1 rows, the first is row 0"), ([], "1 of 0 rows")])
def test_labels_of_other_tokens_are_refused(tiny, labels, found):
    with pytest.raises(InputError, match=f"a label for every token of 1 texts was asked for; found others in {found}"):
        piece_labels(align(tiny, ["a man"]), labels)


# -- other schemes -----------------------------------------------------------------------------------------------------

SCHEMES = {
    "Naver": (("-", "PER-B", "PER-I", "LOC-B"), ["PER-B", "PER-I", "-", "PER-B", "PER-B"]),
    "BIOES": (("O", "B-PER", "E-PER", "S-PER"), ["B-PER", "E-PER", "O", "S-PER", "S-PER"]),
    "BILOU": (("O", "B-PER", "L-PER", "U-PER"), ["B-PER", "L-PER", "O", "U-PER", "U-PER"]),
    "underscores": (("O", "B_PER", "I_PER"), ["B_PER", "I_PER", "O", "B_PER", "B_PER"]),
    "IOB1": (("O", "B-PER", "I-PER"), ["I-PER", "I-PER", "O", "I-PER", "B-PER"]),
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_two_words_are_one_entity_and_neighbours_two_in_every_scheme(kobert, scheme):
    labels, tags = SCHEMES[scheme]
    text = "철수 김 가 영희 민수"
    aligned = align(kobert, [text])
    pieces = np.full((len(aligned.rows[0]), len(labels)), 0.0)
    for place, tag in zip(aligned.places[0].tolist(), tags, strict=True):
        pieces[place, labels.index(tag)] = 9
    found = read_tags(aligned, 0, pieces, labels)
    assert found.tags == tags
    entities = [(one.entity, one.text, one.start, one.end) for one in found.entities]
    assert entities == [("PER", "철수 김", 0, 4), ("PER", "영희", 7, 9), ("PER", "민수", 10, 12)]
    assert str(found) == "PER=철수 김\tPER=영희\tPER=민수"


@pytest.mark.parametrize(
    ("labels", "piece"), [(("O", "B-LC", "E-LC", "S-LC"), "S-LC"), (("-", "LC-B", "LC-I"), "LC-B")]
)
def test_characters_of_one_piece_are_one_entity(tiny, labels, piece):
    aligned = align(tiny, ["paris a"], [[(0, 2), (2, 4), (4, 5), (6, 7)]])
    logits = 9 * np.eye(len(labels))[[labels.index(piece), 0]]
    found = read_tags(aligned, 0, logits, labels)
    assert [(one.entity, one.text) for one in found.entities] == [("LC", "paris")]
    assert found.tags[-1] == labels[0]


def test_labels_of_several_schemes_are_refused(tiny):
    with pytest.raises(DataError, match=r"were asked of the labels of this module, .*; found PER-I beside B-LC, O"):
        read_tags(align(tiny, ["a"]), 0, np.eye(3)[:1], ("O", "B-LC", "PER-I"))


def test_a_module_learns_is_scored_and_predicts_in_the_scheme_of_its_examples(tmp_path):
    """The Naver NLP Challenge's tags go through every verb, and its scores are those of the same tags as IOB2."""
    from learn.made_lessons import made_module, made_rows, settings

    from wellread.learn.finetune import finetune
    from wellread.measure.evaluate import evaluate

    def renamed(tag):
        mark, _, kind = tag.partition("-")
        return f"{kind}-{mark}" if kind else "-"

    scores, entities = [], []
    for name, spell in {"naver": renamed, "iob2": str}.items():
        rows = [{**row, "tags": [spell(tag) for tag in row["tags"]]} for row in made_rows("tag", 96)]
        labels = [spell(tag) for tag in ("O", "B-LC", "B-PS")]
        module = finetune(
            made_module(tmp_path / name),
            rows,
            task="tag",
            output_dir=tmp_path / name / "run",
            config=settings(max_steps=12),
            dev=rows[:40],
            labels=labels,
        )
        scores.append(module.provenance["scores"])
        assert evaluate(module, take_examples(rows[:40])).scores["f1"].value == scores[-1]["f1"]
        entities.append([one.entities for one in module.predict([" ".join(row["text"]) for row in rows[:9]])])
    assert scores[0] == scores[1]
    assert scores[0]["f1"] > 0.5
    assert entities[0] == entities[1]
