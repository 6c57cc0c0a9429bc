"""Schemes of tags are recognised by their tags, and mean the same in every spelling."""

from __future__ import annotations

import pytest

from wellread.errors import DataError
from wellread.metrics.entities import entities, tagging_f1
from wellread.metrics.tag_scheme import scheme_of

# One sentence, in every spelling: two tokens of a person, one token of a place, another of a place, nothing.
MEANT = [("PER", 0, 2), ("LOC", 2, 3), ("LOC", 3, 4)]
SPELLINGS = {
    "IOB2": "B-PER I-PER B-LOC B-LOC O",
    "IOB1": "I-PER I-PER I-LOC B-LOC O",
    "BIOES": "B-PER E-PER S-LOC S-LOC O",
    "BILOU": "B-PER L-PER U-LOC U-LOC O",
    "BMES": "B-PER E-PER S-LOC S-LOC O",
    "BMEWO": "B-PER E-PER W-LOC W-LOC O",
    "IOE": "I-PER E-PER E-LOC E-LOC O",
    "Naver": "PER-B PER-I LOC-B LOC-B -",
    "Naver, with O": "PER-B PER-I LOC-B LOC-B O",
    "underscores": "B_PER I_PER B_LOC B_LOC O",
    "underscores behind": "PER_B PER_I LOC_B LOC_B _",
    "dots": "B.PER I.PER B.LOC B.LOC O",
    "lower case": "b-PER i-PER b-LOC b-LOC o",
    "lower case, with O": "b-PER i-PER b-LOC b-LOC O",
    "slashes": "B/PER I/PER B/LOC B/LOC O",
    "old scripts": "B-PER I-PER B-LOC B-LOC X",
}


def found(tags, **options):
    return [(entity.kind, entity.start, entity.stop) for entity in entities(tags.split(), **options)]


@pytest.mark.parametrize("name", SPELLINGS)
def test_entities_are_the_same_in_every_spelling(name):
    assert found(SPELLINGS[name]) == MEANT
    scheme = scheme_of(SPELLINGS[name].split())
    assert scheme.split(SPELLINGS[name].split()[-1]) == ("O", "")


@pytest.mark.parametrize(
    ("tags", "meant"),
    [
        ("B-A I-A E-A I-A O", [("A", 0, 3), ("A", 3, 4)]),
        ("S-A I-A E-A S-A", [("A", 0, 1), ("A", 1, 3), ("A", 3, 4)]),
        ("B-A M-A E-A M-B O", [("A", 0, 3), ("B", 3, 4)]),
        ("B-A-B I-A-B", [("A-B", 0, 2)]),
        ("A-B-B A-B-I -", [("A-B", 0, 2)]),
        ("LOC LOC PER O LOC", [("LOC", 0, 2), ("PER", 2, 3), ("LOC", 4, 5)]),
        ("NOUN NOUN VERB", [("NOUN", 0, 1), ("NOUN", 1, 2), ("VERB", 2, 3)]),
        ("B I I O B B", [("", 0, 3), ("", 4, 5), ("", 5, 6)]),
        ("- - -", []),
        ("B-PER PAD [SEP] UNK", [("PER", 0, 1)]),
        ("", []),
    ],
)
def test_entities(tags, meant):
    assert found(tags) == meant


@pytest.mark.parametrize("other", ["Naver", "BIOES", "BILOU", "underscores"])
def test_scores_do_not_depend_on_the_spelling(other):
    wrong = {"IOB2": "B-PER I-PER O B-LOC O", "Naver": "PER-B PER-I - LOC-B -", "underscores": "B_PER I_PER O B_LOC O"}
    wrong |= {"BIOES": "B-PER E-PER O S-LOC O", "BILOU": "B-PER L-PER O U-LOC O"}
    f1 = [tagging_f1([SPELLINGS[name].split()], [wrong[name].split()]) for name in ("IOB2", other)]
    assert f1[0] == f1[1] == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("O B-PER I-PER MISC", "found MISC beside B-PER, I-PER, O; convert the tags"),
        ("B-PER PER-B", "tags of one scheme were asked of the file, as O, B-TYPE and I-TYPE; found PER-B beside B-PER"),
        ("B-PER B_LOC O", "found B_LOC beside B-PER, O"),
        ("O B- I-", "found B-, I- beside O"),
        ("O-PER O", "found O-PER beside O"),
        ("B I-PER", "beside"),
    ],
)
def test_tags_of_several_schemes_are_refused(tags, message):
    with pytest.raises(DataError, match=message):
        scheme_of(tags.split(), source="the file")


def test_a_tag_of_another_scheme_is_refused():
    with pytest.raises(DataError, match="a tag is - or as TYPE-B; found 'B-PER'; convert the tags"):
        entities(["B-PER"], scheme=scheme_of(["PER-B", "-"]))


def test_the_tag_of_what_goes_on():
    naver, bmes, lower = (
        scheme_of(["PER-B", "PER-I", "-"]),
        scheme_of(["B-A", "M-A", "S-A"]),
        scheme_of(["b-A", "s-A", "o"]),
    )
    assert (naver.inner("PER-B"), naver.inner("-"), naver.opened("PER-B")) == ("PER-I", "-", "PER-B")
    assert (bmes.inner("S-A"), bmes.opened("S-A"), bmes.opened("E-A")) == ("M-A", "B-A", "M-A")
    assert (lower.inner("b-A"), lower.opened("s-A")) == ("i-A", "b-A")
    assert scheme_of(["B", "I", "S", "O"]).inner("B") == "I"
    assert scheme_of(["B", "S", "O"]).opened("S") == "B"
    assert scheme_of(["LOC", "O"]).inner("LOC") == "LOC"
