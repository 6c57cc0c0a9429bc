"""handles: every handle of the catalog and of the documents finds its module; the dead and the hostile are refused."""

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from wellread.catalog.modules import entries, entry_named, names, preprocessors
from wellread.errors import HandleError
from wellread.hub.handles import locate
from wellread.hub.location import KINDS

PUBLICATIONS = [(entry, one) for entry in entries() for one in entry.publications]
LIVING = [(entry, one, handle) for entry, one in PUBLICATIONS if one.alive for handle in one.handles]
DEAD = [(entry, one) for entry, one in PUBLICATIONS if not one.alive]
TFHUB = "https://tfhub.dev/"
SMALL = "bert_en_uncased_L-12_H-512_A-8"


def test_every_living_handle_finds_its_entry_and_its_publication():
    for entry, one, handle in LIVING:
        found = locate(handle)
        assert (found.handle, found.kind) == (handle, one.hub)
        assert found.entry is entry
        assert found.publication is one
        assert found.preprocessor is None
        assert one.handle.endswith(found.address)


def test_every_dead_handle_names_the_living_ones_of_the_same_weights():
    for entry, one in DEAD:
        with pytest.raises(HandleError) as error:
            locate(one.handle)
        living = str(error.value).split("; take ")[1].split(" or ")
        assert living
        assert all(locate(handle).entry is entry for handle in living)


def test_a_dead_module_of_tensorflow_1_says_so():
    with pytest.raises(HandleError) as error:
        locate(f"{TFHUB}google/bert_chinese_L-12_H-768_A-12/1")
    assert str(error.value) == (
        f"the handle '{TFHUB}google/bert_chinese_L-12_H-768_A-12/1' was given; it looks like a hub.Module for "
        "TensorFlow 1, which nothing serves or runs any more; take "
        f"https://storage.googleapis.com/bert_models/2018_11_03/chinese_L-12_H-768_A-12.zip or "
        f"{TFHUB}tensorflow/bert_zh_L-12_H-768_A-12/4 or google-bert/bert-base-chinese"
    )


def test_every_name_goes_to_its_first_living_publication():
    for name, entry in names().items():
        found = locate(name)
        assert found.entry is entry
        assert found.publication is next(entry.living())


def test_every_preprocessor_is_known_as_one():
    for handle, text in preprocessors().items():
        found = locate(handle)
        assert found.preprocessor is text
        assert (found.kind, found.entry, found.publication) == (text.hub, None, None)


def test_the_default_is_the_default():
    assert (locate("default").kind, locate("default").address) == ("default", "default")


def test_alternatives_are_the_newest_of_every_other_hub():
    found = locate(f"{TFHUB}tensorflow/small_bert/{SMALL}/1")
    assert found.alternatives == (
        "https://storage.googleapis.com/bert_models/2020_02_20/uncased_L-12_H-512_A-8.zip",
        "https://www.kaggle.com/models/tensorflow/bert/TensorFlow2/bert-en-uncased-l-12-h-512-a-8/2",
        "google/bert_uncased_L-12_H-512_A-8",
    )
    assert f"{TFHUB}tensorflow/small_bert/{SMALL}/2" in locate(SMALL).alternatives
    for _, one, handle in LIVING:
        assert all(locate(other).kind != one.hub for other in locate(handle).alternatives)


def test_an_unknown_module_has_no_entry():
    found = locate("hf://owner/name@v1")
    assert (found.kind, found.address, found.revision) == ("huggingface", "owner/name", "v1")
    assert (found.entry, found.publication, found.preprocessor, found.alternatives) == (None, None, None, ())


def test_kaggle_does_not_mind_the_case_of_a_framework():
    found = locate("tensorflow/bert/tensorFlow2/bert-en-uncased-l-12-h-512-a-8/2")
    assert found.entry is entry_named(SMALL)
    assert found.address == "tensorflow/bert/tensorFlow2/bert-en-uncased-l-12-h-512-a-8/2"


def test_notes_and_revisions_come_along():
    assert locate(f"{TFHUB}tensorflow/small_bert/{SMALL}").note == "version 2 is the newest"
    assert locate("https://huggingface.co/bert-base-uncased/tree/main").revision == "main"


def test_a_dead_link_names_what_lives_instead():
    with pytest.raises(HandleError) as error:
        locate("https://drive.google.com/open?id=13jTGc7KrvK9xp9e5GvYjyRz6bf2oJux8")
    assert str(error.value) == (
        "the handle 'https://drive.google.com/open?...' was given; it looks like a handle that is dead: the Google "
        "Drive link of KoBERT is gone; take monologg/kobert"
    )


HOSTILE = [
    *("", "\0", "a\nb", "\ud800", "x" * 1_000_000, "/" * 4000, "-" * 4000, "a/" * 2000, "../..", "file:///etc/passwd"),
    *(
        "https://user:pw@host/a.zip",
        "https://" + "a." * 2000,
        "gs://" + "a/" * 2000,
        "hf://@",
        "hf://a/b@" + "/" * 4000,
    ),
    *(
        "https://huggingface.co//",
        "https://tfhub.dev//1",
        "https://www.kaggle.com/models////",
        "https://[",
        "://",
        "{}",
        "%",
    ),
]


@pytest.mark.parametrize("handle", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_handles_are_refused_quickly_and_in_few_words(handle):
    locate("default")
    begin = time.perf_counter()
    with pytest.raises(HandleError) as error:
        locate(handle)
    assert time.perf_counter() - begin < 1
    assert len(str(error.value)) < 1000
    assert "pw" not in str(error.value)


PIECES = st.sampled_from(
    "https:// hf:// gs:// http:// tfhub.dev huggingface.co www.kaggle.com models bert_models bert-base-uncased default "
    r"/ .. @ : ? # %2e [ ] 1 tree \ .zip".split()
)


@given(st.one_of(st.text(st.characters()), st.lists(st.one_of(PIECES, st.text(max_size=3)), max_size=12).map("".join)))
@example("https://tfhub.dev/١")  # a digit that is not ASCII
def test_any_text_is_located_or_refused(handle):
    try:
        found = locate(handle)
    except HandleError as error:
        str(error).encode("utf-8")
        return
    assert found.kind in KINDS
    assert found.address.isprintable()
    assert found.address.isascii()
    assert ".." not in found.address.split("/")
