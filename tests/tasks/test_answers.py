"""Windows leave nothing out, and the best span of all windows is found."""

from __future__ import annotations

import numpy as np
import pytest
from tiny import tiny_tokenizer

from wellread.errors import InputError
from wellread.tasks.answer import AnswerSettings, read_answer, span_positions, windows
from wellread.tasks.characters import locate

QUESTION = "a cat ?"
CONTEXT = "a man is playing the guitar . a woman runs , the cat sleeps !"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return tiny_tokenizer(tmp_path_factory.mktemp("answers"))


def asked(tiny, length=12, stride=None, contexts=(CONTEXT,)):
    return windows(tiny, [QUESTION] * len(contexts), contexts, max_seq_length=length, stride=stride)


def random_logits(found, seed=0):
    rng = np.random.default_rng(seed)
    width = (found.first + found.parts.lengths).max() + 2  # [SEP] and a pad
    return [rng.normal(0, 2, (width, 2)) for _ in found.source]


@pytest.mark.parametrize("stride", [None, 1, 3, 99])
def test_every_piece_stands_in_a_window(tiny, stride):
    found = asked(tiny, stride=stride, contexts=(CONTEXT, "", "paris", CONTEXT * 2))
    pieces = found.contexts.tokens
    for row in range(4):
        seen = np.zeros(pieces.lengths[row], bool)
        for window in found.of(row):
            part = slice(found.offsets[window], found.offsets[window] + found.parts.lengths[window])
            assert found.parts[window].tolist() == pieces[row][part].tolist()
            assert found.questions[window].tolist() == tiny.tokenize([QUESTION])[0].tolist()
            seen[part] = True
        assert seen.all()
        assert len(found.of(row)) >= 1
    assert (found.parts.lengths + found.questions.lengths + 3).max() == 12
    assert len(found.of(1)) == len(found.of(2)) == 1


def test_no_window_more_than_are_needed(tiny):
    """Eight pieces at a time and four apart: the last window is the first that reaches the end."""
    found = asked(tiny, length=14, stride=4)
    assert found.contexts.tokens.lengths.tolist() == [15]
    assert found.offsets.tolist() == [0, 4, 8]
    assert found.parts.lengths.tolist() == [8, 8, 7]


def test_a_long_question_is_cut_and_counted(tiny):
    found = windows(tiny, ["a " * 90, "a"], ["man", "man"], max_seq_length=200)
    assert found.questions.lengths.tolist() == [64, 1]
    assert found.truncated.tolist() == [26, 0]
    assert windows(tiny, ["a " * 90], ["man"], max_seq_length=13).questions.lengths.tolist() == [5]


def test_an_answer_is_marked_where_it_is_whole(tiny):
    found = asked(tiny, length=14, stride=4, contexts=(CONTEXT, CONTEXT))
    start = CONTEXT.index("a woman")
    positions = span_positions(found, np.array([start, 0]), np.array([start + len("a woman runs"), 0]))
    assert positions.tolist() == [[0, 0], [8, 10], [0, 0], [0, 0], [0, 0], [0, 0]]
    first, last = positions[1] - found.first[1] + found.offsets[1]
    pieces = found.contexts.tokens[0]
    assert tiny.decode(pieces[first : last + 1].tolist()) == "a woman runs"


def test_an_answer_inside_a_piece_is_that_piece(tiny):
    found = asked(tiny, length=40)
    at = CONTEXT.index("man") + 1
    assert span_positions(found, np.array([at]), np.array([at + 1])).tolist() == [[6, 6]]


def best_by_hand(found, row, logits, longest):
    """Try every span of every window."""
    at = locate_of(found, row)
    best, told = -np.inf, None
    windows_of = list(found.of(row))
    for number, window in enumerate(windows_of):
        count, offset = int(found.parts.lengths[window]), int(found.offsets[window])
        for start in range(count):
            room = [
                (
                    min(
                        start + offset - found.offsets[w],
                        found.offsets[w] + found.parts.lengths[w] - 1 - start - offset,
                    )
                    + 0.01 * found.parts.lengths[w]
                )
                for w in windows_of
            ]
            if int(np.argmax(room)) != number:
                continue
            for end in range(start, min(count, start + longest)):
                first = found.first[window]
                value = logits[number][first + start, 0] + logits[number][first + end, 1]
                if value > best:
                    best, told = value, (at[0][start + offset], at[1][end + offset])
    return told


def locate_of(found, row):
    return found.contexts.starts[row].tolist(), found.contexts.limits[row].tolist()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("longest", [1, 4, 30])
def test_the_best_span_is_found(tiny, seed, longest):
    found = asked(tiny, length=14, stride=3, contexts=("paris", CONTEXT))
    logits = random_logits(found, seed)
    own = [logits[window] for window in found.of(1)]
    answer = read_answer(found, 1, own, AnswerSettings(max_answer_length=longest))
    assert (answer.start, answer.end) == best_by_hand(found, 1, own, longest)
    assert answer.text == CONTEXT[answer.start : answer.end]
    assert answer.others == ()


def test_several_answers_are_ordered_and_share_the_probability(tiny):
    found = asked(tiny, length=40)
    answer = read_answer(found, 0, random_logits(found), AnswerSettings(top_k=20))
    told = (answer, *answer.others)
    scores = [one.score for one in told]
    assert len({(one.start, one.end) for one in told}) == 20
    assert scores == sorted(scores, reverse=True)
    assert sum(scores) == pytest.approx(1)


def test_no_answer_wins_at_the_threshold(tiny):
    """The best span has 4, [CLS] 3 in one window and 1 in the other, which counts."""
    found = asked(tiny, length=14, stride=8)
    logits = [np.full((14, 2), -9.0) for _ in found.source]
    logits[0][found.first[0]] = 2
    logits[0][0], logits[1][0] = 1.5, 0.5
    for threshold, text in ((None, "a"), (2.9, "a"), (3.1, ""), (3.0, "")):
        answer = read_answer(found, 0, logits, AnswerSettings(null_threshold=threshold))
        assert answer.text == text
    assert (answer.start, answer.end) == (0, 0)
    assert answer.score == pytest.approx(0.5, abs=0.01)


def test_an_answer_may_be_the_last_piece_and_the_only_one_that_the_window_before_has_not(tiny):
    found = asked(tiny, length=400, contexts=("a " * 394 + "cat",))
    assert found.parts.lengths.tolist() == [394, 267]
    logits = [np.full((400, 2), -9.0) for _ in found.source]
    logits[1][found.first[1] + 266] = 9
    assert read_answer(found, 0, logits, AnswerSettings()).text == "cat"


def test_an_empty_context_has_no_answer(tiny):
    found = asked(tiny, contexts=("",))
    answer = read_answer(found, 0, random_logits(found), AnswerSettings())
    assert (answer.text, answer.score) == ("", 1)


def test_no_answer_begins_or_ends_with_a_blank(tmp_path):
    """A piece that is a blank alone, as sentencepiece has, is passed over."""
    from pathlib import Path

    from wellread.config import TokenizerConfig
    from wellread.text.tokenizer import load_tokenizer

    data = Path(__file__).parent.parent / "data" / "kobert"
    kobert = load_tokenizer(data, TokenizerConfig(dialect="kobert", model_file="tokenizer_78b3253a26.model"))
    context = "뷁 뷁 뷁"
    assert 0 in (locate(kobert, [context]).limits[0] - locate(kobert, [context]).starts[0])
    found = windows(kobert, ["뷁"], [context], max_seq_length=40)
    answer = read_answer(found, 0, random_logits(found), AnswerSettings(top_k=20))
    assert all(one.text == one.text.strip() != "" for one in (answer, *answer.others))


def test_what_cannot_be_asked_is_refused(tiny):
    with pytest.raises(InputError, match="a context for each of 1 questions was asked; found 0"):
        windows(tiny, ["a"], [], max_seq_length=12)
    with pytest.raises(InputError, match="a window needs 5 tokens, for a piece of each text; found 4; raise it"):
        windows(tiny, ["a"], ["a"], max_seq_length=4)
    with pytest.raises(InputError, match=r"top_k up to 20; found stride 0; change them"):
        AnswerSettings(stride=0)
    with pytest.raises(InputError, match=r"found top_k 0, max_answer_length 0; change"):
        AnswerSettings(top_k=0, max_answer_length=0)
    with pytest.raises(InputError, match=r"top_k up to 20; found 21; change"):
        AnswerSettings(top_k=21)
