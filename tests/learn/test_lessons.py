"""Which examples a task can be learnt from, what its head is, and what is refused before any work."""

from __future__ import annotations

from dataclasses import replace

import pytest
from learn.made_lessons import made_examples, made_module, made_rows, settings

from wellread.config import HeadConfig
from wellread.data.examples import Answer, read_examples, take_examples
from wellread.errors import ConfigError, DataError, InputError
from wellread.learn.settings import FinetuneConfig
from wellread.learn.training_examples import dev_examples, head_for, training_examples

CONFIG = settings()


def head(task, rows, directory, *, labels=(), module=None, **changes) -> HeadConfig:
    config = settings(**changes)
    module = module or made_module(directory)
    return head_for(task, training_examples(task, rows, config), module.checkpoint, config, labels)


# -- heads -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "labels"),
    [
        ("classify", ("animal", "person")),
        ("pair", ("0", "1")),
        ("tag", ("B-LC", "B-PS", "O")),
        ("similarity", ()),
        ("answer", ()),
    ],
)
def test_labels_are_those_that_occur_in_their_order(tmp_path, task, labels):
    found = head(task, made_rows(task, 20), tmp_path, head_dropout=0.2)
    assert found.labels == labels
    assert (found.task, found.dropout, found.pre_classifier) == (task, 0.2, False)


def test_labels_may_be_named_in_another_order(tmp_path):
    found = head("classify", made_rows("classify", 20), tmp_path, labels=("person", "thing", "animal"))
    assert found.labels == ("person", "thing", "animal")


def test_a_module_keeps_the_order_of_the_labels_that_it_knows(tmp_path):
    module = made_module(tmp_path)
    known = HeadConfig(task="classify", labels=("person", "animal"))
    module.checkpoint = replace(module.checkpoint, head=known)
    assert head("classify", made_rows("classify", 20), tmp_path, module=module).labels == ("person", "animal")


def test_a_similarity_lies_between_the_lowest_and_the_highest_score(tmp_path):
    found = head("similarity", made_rows("similarity", 20), tmp_path)
    assert (found.low, found.high) == (1.0, 5.0)


def test_a_contrastive_similarity_is_a_cosine(tmp_path):
    rows = [{"text": "a cat", "pair": "the cat"}, {"text": "a man", "pair": "the man"}]
    found = head("similarity", rows, tmp_path, loss="contrastive")
    assert (found.low, found.high) == (0.0, 1.0)


def test_a_family_without_pooler_has_a_map_before_the_classifier(tmp_path):
    module = made_module(tmp_path, distilbert=True)
    assert head("classify", made_rows("classify", 20), tmp_path, module=module).pre_classifier
    assert not head("tag", made_rows("tag", 20), tmp_path, module=module).pre_classifier


# -- contrastive pairs -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["label", "score"])
def test_of_labelled_pairs_those_that_belong_together_are_kept(column):
    rows = [{"text": f"word{i}", "pair": f"word{i + 10}", column: i % 2} for i in range(6)]
    found = training_examples("similarity", rows, settings(loss="contrastive"))
    assert (found.texts, found.pairs) == (["word1", "word3", "word5"], ["word11", "word13", "word15"])
    assert (list(found.lines), found.labels, found.scores) == ([2, 4, 6], None, None)


def test_too_few_pairs_that_belong_together_are_refused():
    rows = [{"text": "a cat", "pair": "a man", "score": score} for score in (5, 4, 1)]
    with pytest.raises(DataError, match="given rows; found 1 of 3 with the label or score 1; name another column"):
        training_examples("similarity", rows, settings(loss="contrastive"))


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_an_unknown_task_is_refused():
    with pytest.raises(InputError, match=r"the task 'clasify' was asked .* one of them \(did you mean classify\?\)"):
        training_examples("clasify", [], CONFIG)


@pytest.mark.parametrize(
    ("task", "row", "message"),
    [
        ("classify", {"text": "a"}, "labels were asked of the given rows for classify; found no labels; name their"),
        ("pair", {"text": "a", "label": 1}, "pairs and labels were asked .* for pair; found no pairs; name"),
        ("pair", {"text": "a"}, "found no pairs and no labels; name"),
        ("similarity", {"text": "a", "pair": "b"}, "pairs and scores were asked .* found no scores; name"),
        ("tag", {"text": "a cat", "label": 1}, "found no tags and no spans; name"),
        ("answer", {"text": "a", "answers": []}, "found no pairs; name their columns, or the file's format"),
        ("classify", {"txt": "a", "label": 1}, "a column text was asked of the given rows; it has txt, label;"),
    ],
)
def test_examples_that_lack_what_a_task_needs_are_refused(task, row, message):
    with pytest.raises(DataError, match=message):
        training_examples(task, [row], CONFIG)


def test_pairs_are_all_that_a_contrastive_loss_needs():
    with pytest.raises(DataError, match="pairs were asked of the given rows for similarity; found no pairs"):
        training_examples("similarity", [{"text": "a"}], settings(loss="contrastive"))


def test_no_examples_are_refused():
    with pytest.raises(DataError, match="it holds no rows"):
        training_examples("classify", [], CONFIG)
    empty = replace(made_examples("classify", 2), texts=[], labels=[], lines=[])
    with pytest.raises(DataError, match="examples were asked of the given rows for classify; found 0; give it some"):
        training_examples("classify", empty, CONFIG)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.tsv", "text\tlabel\n", "it holds no rows"),
        ("a.tsv", "", "it holds 0 empty lines and no other"),
        ("a.tsv", "text\tlabel\ngood\t1\nbad\n", "1 of 2 rows have another number, line 3"),
        ("a.csv", 'text,lable\ngood,1\nbad,"0"\n', r"a column label was asked .* \(did you mean lable\?\)"),
    ],
)
def test_files_of_another_form_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        training_examples("classify", read_examples(tmp_path / name, label="label"), CONFIG)


def test_examples_of_one_label_are_refused(tmp_path):
    rows = [{"text": "a cat", "label": "animal"}, {"text": "the cat", "label": "animal"}]
    message = "two labels or more were asked of the given rows; found that all 2 are animal; give examples of others"
    with pytest.raises(DataError, match=message):
        head("classify", rows, tmp_path, labels=("animal", "person"))


def test_tokens_of_one_tag_are_refused(tmp_path):
    with pytest.raises(DataError, match="found that all 3 are O; give"):
        head("tag", [{"text": ["a", "cat", "runs"], "tags": ["O", "O", "O"]}], tmp_path)


def test_scores_that_are_all_one_are_refused(tmp_path):
    rows = [{"text": "a cat", "pair": "a man", "score": 3}] * 2
    with pytest.raises(DataError, match="two scores or more were asked .* found that all 2 are 3.0; give"):
        head("similarity", rows, tmp_path)


def test_labels_that_were_not_named_are_refused(tmp_path):
    message = r"the labels animal, thing were asked of the given rows; \d+ of 20 are others, lines .*: 'person'"
    with pytest.raises(DataError, match=message):
        head("classify", made_rows("classify", 20), tmp_path, labels=("animal", "thing"))


def test_answers_that_stand_elsewhere_are_refused():
    whole = made_examples("answer", 3)
    rows = [{"text": "the", "pair": "a cat", "answers": [{"text": "cat", "answer_start": 1}]}]
    with pytest.raises(DataError, match="1 of 1 rows have none, line 1; mend answer_start"):
        training_examples("answer", rows, CONFIG)
    moved = replace(whole, answers=[[], [Answer(text="rome", start=0)], []])
    message = "answers that stand at their start in the context .* found 1 of 3 rows that have others, line 2; mend"
    with pytest.raises(DataError, match=message):
        training_examples("answer", moved, CONFIG)


# -- development examples ----------------------------------------------------------------------------------------------


def test_labels_that_were_not_learnt_are_refused():
    known = HeadConfig(task="classify", labels=("animal", "person"))
    rows = [*made_rows("classify", 3), {"text": "a flute", "label": "thing"}]
    message = "the labels animal, person were asked of the given rows; 1 of 4 are others, line 4: 'thing'"
    with pytest.raises(DataError, match=message):
        dev_examples("classify", rows, known)
    assert len(dev_examples("classify", rows[:3], known)) == 3


def test_tags_that_were_not_learnt_are_refused():
    known = HeadConfig(task="tag", labels=("B-LC", "O"))
    rows = [{"text": ["a", "cat"], "tags": ["O", "O"]}, {"text": ["a", "cat"], "tags": ["O", "B-PS"]}]
    with pytest.raises(DataError, match="1 of 4 are others, line 2: 'B-PS'"):
        dev_examples("tag", rows, known)


def test_tags_of_no_scheme_are_refused_by_training_and_dev_alike():
    rows = [{"text": ["cat", "runs"], "tags": ["B-PS", "VERB"]}]
    message = (
        "tags of one scheme were asked of the given rows, as O, B-TYPE and I-TYPE; found VERB beside B-PS; convert"
    )
    with pytest.raises(DataError, match=message):
        dev_examples("tag", rows, HeadConfig(task="tag", labels=("B-PS", "VERB")))
    with pytest.raises(DataError, match=message):
        training_examples("tag", rows, CONFIG)


def test_parts_of_speech_are_tags_too():
    rows = [{"text": ["cat", "runs"], "tags": ["NOUN", "VERB"]}]
    assert len(dev_examples("tag", rows, HeadConfig(task="tag", labels=("NOUN", "VERB")))) == 1
    assert len(training_examples("tag", rows, CONFIG)) == 1


def test_scores_are_needed_even_of_a_contrastive_similarity():
    with pytest.raises(DataError, match="found no scores; name"):
        dev_examples("similarity", [{"text": "a", "pair": "b"}], HeadConfig(task="similarity"))


def test_examples_are_taken_as_they_are():
    examples = take_examples([{"t": "a cat", "y": 1}], text="t", label="y")
    assert training_examples("classify", examples, CONFIG) is examples


# -- settings ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"max_seq_length": 4, "doc_stride": 0}, "found max_seq_length of 4; doc_stride of 0; max_seq_length is at"),
        ({"head_dropout": 1.0}, "found head_dropout of 1.0; "),
        ({"scale": 0.0}, "found scale of 0.0; .* scale above 0 and doc_stride at least 1"),
        ({"loss": "cosin"}, r"loss was asked for; found 'cosin' \(did you mean cosine\?\); it is one of cosine, con"),
        ({"rules": "squat"}, r"rules was asked for; found 'squat' \(did you mean squad\?\); it is one of squad, korq"),
    ],
)
def test_settings_of_no_fine_tuning_are_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        FinetuneConfig(**given)
