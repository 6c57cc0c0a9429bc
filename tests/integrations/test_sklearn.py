"""scikit-learn checks the transformer, clones it, pickles it and searches with it."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import SkipTestWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils import estimator_checks

from wellread.errors import InputError
from wellread.integrations.sklearn import WellreadVectorizer

TEXTS = ["The film is wonderful.", "The film is awful.", "What a great film!", "What a boring film!"] * 5
LABELS = [1, 0, 1, 0] * 5
# scikit-learn's checks that hand over no tables of numbers
CHECKS = """do_not_raise_errors_in_init_or_set_params estimator_cloneable estimator_repr estimator_tags_renamed
    estimators_fit_returns_self estimators_overwrite_params fit_check_is_fitted get_params_invariance mixin_order
    no_attributes_set_in_init parameters_default_constructible readonly_memmap_input requires_y_none set_params
    valid_tag_types""".split()


@pytest.mark.parametrize("check", CHECKS)
def test_scikit_learn_finds_nothing_wrong(check):
    getattr(estimator_checks, f"check_{check}")("WellreadVectorizer", WellreadVectorizer("default"))


@pytest.mark.parametrize("vectorizer", [WellreadVectorizer("default"), TfidfVectorizer()])
def test_the_tags_say_that_texts_go_in(vectorizer):
    """So `check_estimator` hands over none of its tables of numbers, as it does with scikit-learn's own."""
    with pytest.warns(SkipTestWarning, match="two_d_array=False, .*string=True"):
        estimator_checks.check_estimator(vectorizer, on_skip=None)


def test_it_gives_a_table_where_that_is_wanted():
    vectorizer = WellreadVectorizer("default", truncate_dim=3).set_output(transform="pandas")
    table = vectorizer.fit_transform(pd.Series(TEXTS[:2], index=[7, 9]))
    assert table.columns.tolist() == ["wellread0", "wellread1", "wellread2"]
    assert table.index.tolist() == [7, 9]


def test_it_gives_the_vectors_of_encode(module):
    vectorizer = WellreadVectorizer(module, prompt_name="query", truncate_dim=5, precision="f32")
    expected = module.encode(["a cat", "the man"], prompt_name="query", truncate_dim=5, precision="f32")
    np.testing.assert_array_equal(vectorizer.fit_transform(["a cat", "the man"]), expected)
    np.testing.assert_array_equal(vectorizer.transform(np.array(["a cat", "the man"])), expected)
    assert vectorizer.get_feature_names_out().tolist() == [f"wellread{number}" for number in range(5)]
    vectorizer.set_params(truncate_dim=None)
    assert vectorizer.transform(["a cat"]).shape == (1, 12)
    assert len(vectorizer.get_feature_names_out()) == 12


def test_a_clone_has_its_parameters_and_a_pickle_is_small(directory, another):
    vectorizer = WellreadVectorizer(directory, normalize_embeddings=True)
    vectors = vectorizer.fit_transform(["a cat", "the man"])
    assert clone(vectorizer).get_params() == vectorizer.get_params()
    pickled = pickle.dumps(vectorizer)
    assert len(pickled) < 2000
    np.testing.assert_array_equal(pickle.loads(pickled).transform(["a cat", "the man"]), vectors)
    another.save(directory, overwrite=True)
    with pytest.raises(InputError, match="whose vectors are stored; found"):
        pickle.loads(pickled).transform(["a cat"])


def test_a_module_is_cloned_and_pickled_too(module):
    vectorizer = WellreadVectorizer(module)
    expected = vectorizer.transform(["a cat"])
    for twin in (clone(vectorizer), pickle.loads(pickle.dumps(vectorizer))):
        np.testing.assert_allclose(twin.transform(["a cat"]), expected, atol=1e-6)


def test_a_search_tries_widths_in_two_processes():
    pipeline = make_pipeline(WellreadVectorizer("default"), LogisticRegression())
    grid = {"wellreadvectorizer__truncate_dim": [16, None]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2, error_score="raise").fit(TEXTS, LABELS)
    assert search.best_score_ == 1
    assert search.predict(["A wonderful, great film.", "An awful, boring film."]).tolist() == [1, 0]


def test_a_column_of_a_table_is_vectorised():
    table = pd.DataFrame({"text": TEXTS, "length": [len(text) for text in TEXTS]})
    columns = ColumnTransformer(
        [("text", WellreadVectorizer("default", truncate_dim=7), "text")], remainder="passthrough"
    )
    assert columns.fit_transform(table).shape == (20, 8)
    names = columns.get_feature_names_out()
    assert [names[0], names[-1]] == ["text__wellread0", "remainder__length"]


def test_a_table_and_what_is_no_option_are_refused():
    with pytest.raises(InputError, match="DataFrame"):
        WellreadVectorizer("default").fit_transform(pd.DataFrame({"text": TEXTS}))
    with pytest.raises(InputError, match="on_long='trim' is unknown"):
        WellreadVectorizer("default", on_long="trim").fit_transform(TEXTS)
