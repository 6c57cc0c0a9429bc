"""worlds: what Hugging Face, TF Hub and Kaggle write, and what is none of theirs."""

import pytest

from wellread.errors import HandleError
from wellread.hub.parse import read

HUB, TFHUB, KAGGLE = "https://huggingface.co", "https://tfhub.dev", "https://www.kaggle.com"
SMALL = "tensorflow/small_bert/bert_en_uncased_L-12_H-512_A-8"
ENGLISH = "tensorflow/bert/TensorFlow2/en-uncased-l-12-h-768-a-12"


def told(handle):
    with pytest.raises(HandleError) as error:
        read(handle)
    return str(error.value).split("; it looks like ")[1]


@pytest.mark.parametrize(
    ("handle", "address", "revision"),
    [
        ("owner/name", "owner/name", None),
        ("sentence-transformers/all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2", None),
        ("bert-base-uncased", "google-bert/bert-base-uncased", None),
        ("hf://owner/name", "owner/name", None),
        ("HF://owner/name@v1.0", "owner/name", "v1.0"),
        ("hf://distilbert-base-cased@main", "distilbert/distilbert-base-cased", "main"),
        (f"{HUB}/owner/name", "owner/name", None),
        (f"{HUB}/owner/name/?library=transformers#usage", "owner/name", None),
        (f"{HUB}/owner/name/tree/main", "owner/name", "main"),
        (f"{HUB}/owner/name/tree/refs%2Fpr%2F1", "owner/name", "refs/pr/1"),
        (f"{HUB}/bert-base-cased/tree/main", "google-bert/bert-base-cased", "main"),
        (f"{HUB}/distilbert-base-cased", "distilbert/distilbert-base-cased", None),
        ("https://hf.co/owner/name", "owner/name", None),
        ("https://HUGGINGFACE.co/owner/name", "owner/name", None),
    ],
)
def test_hugging_faces_ways_of_writing(handle, address, revision):
    found = read(handle)
    assert (found.kind, found.address, found.revision, found.note) == ("huggingface", address, revision, "")


def test_a_mirror_is_said_to_be_one():
    found = read("https://hf.xwall.us.kg/Dimitre/bert_en_cased_preprocess")
    assert (found.kind, found.address) == ("huggingface", "Dimitre/bert_en_cased_preprocess")
    assert found.note == (
        "hf.xwall.us.kg is a mirror of Hugging Face; the files are taken from the hub that HF_ENDPOINT names"
    )


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("owner/na me", " with the character ' '"),
        ("한국/모델", " with the character '국'"),
        ("owner/name@v1", " with the character '@'"),
        ("owner/" + "x" * 91, " of 97 characters"),
        *((name, " with a dot, a dash or .git where none may be") for name in ("o/a--b", "o/a..b", "-o/a", "o/a.git")),
        ("/owner", None),
        ("owner/", " with a dot, a dash or .git where none may be"),
    ],
)
def test_an_id_that_cannot_be_one_is_refused(name, fault):
    looks = (
        "a path, and there is nothing at it; "
        if fault is None
        else f"an id of Hugging Face{fault}; write owner/name, of "
    )
    assert told(name).startswith(looks)


def test_an_id_of_96_characters_is_one():
    assert read("owner/" + "x" * 90).kind == "huggingface"


def test_ids_of_other_counts_of_parts_are_refused():
    assert told("hf://owner/name/file.txt").startswith("an id of Hugging Face of 3 parts; ")
    assert told("hf://").startswith("an address with nothing behind the host; write owner/name")
    assert told(HUB).startswith("an address with nothing behind the host; write owner/name")


def test_a_single_word_that_is_unknown_says_all_that_it_could_be():
    assert told("distilkobert") == (
        "a single word, which is neither a path that is there, nor a name of the catalog, nor an old id it knows; "
        "write owner/name for a module on Hugging Face, or list the names with wellread catalog (did you mean "
        "monologg/distilkobert?)"
    )


@pytest.mark.parametrize("revision", ["", "a b", "..", "a/../b", "-x", "한"])
def test_a_revision_that_cannot_be_one_is_refused(revision):
    assert told(f"hf://owner/name@{revision}") == (
        f"an id of Hugging Face with the revision {revision!r}; name a branch, tag or commit"
    )


@pytest.mark.parametrize("path", ["datasets/owner/name", "spaces/owner/name", "owner/name/blob/main/a.json"])
def test_other_pages_of_hugging_face_are_refused(path):
    assert told(f"{HUB}/{path}").startswith(
        "a page of Hugging Face that is no model's; give owner/name, or hf://owner/name@REVISION"
    )


@pytest.mark.parametrize(
    ("handle", "version", "note"),
    [
        (f"{TFHUB}/{SMALL}/1", 1, ""),
        (f"http://tfhub.dev/{SMALL}/1", 1, ""),
        (f"https://www.tfhub.dev/{SMALL}/1/?tf-hub-format=compressed", 1, ""),
        (f"{TFHUB}/{SMALL}", 2, "version 2 is the newest"),
        (SMALL, 2, "version 2 is the newest"),
        (f"{SMALL}/2", 2, ""),
    ],
)
def test_tf_hubs_ways_of_writing(handle, version, note):
    found = read(handle)
    assert (found.kind, found.address, found.note) == ("tfhub", f"{TFHUB}/{SMALL}/{version}", note)


def test_an_unknown_module_of_tf_hub_needs_a_version():
    assert read(f"{TFHUB}/google/elmo/3").address == f"{TFHUB}/google/elmo/3"
    for path in ("google/elmo", "google", "3", ""):
        assert told(f"{TFHUB}/{path}").startswith(
            "a TF Hub handle without a version, of a module that the catalog does not know; add /1"
        )


@pytest.mark.parametrize("path", ["google/el mo/3", "google//3", "-google/elmo/3", "한/국/1"])
def test_a_module_of_tf_hub_is_spelt_in_ascii(path):
    assert told(f"{TFHUB}/{path}").startswith("a TF Hub handle, misspelt; write owner/name/version")


@pytest.mark.parametrize("version", ["١", "9" * 10, "1.0", "v1"])
def test_a_version_is_a_number(version):
    assert told(f"{TFHUB}/google/elmo/{version}").startswith("a TF Hub handle without a version")


def test_a_version_that_never_was_is_told_those_that_were():
    assert told(f"{TFHUB}/{SMALL}/3") == f"version 3 of a TF Hub handle that has 1, 2; take {TFHUB}/{SMALL}/2"


@pytest.mark.parametrize(
    "handle",
    [
        f"{ENGLISH}/4",
        f"{KAGGLE}/models/{ENGLISH}/4",
        f"https://kaggle.com/models/{ENGLISH}/4?tfhub-redirect=true",
        f"{KAGGLE}/models/tensorflow/bert/frameworks/TensorFlow2/variations/en-uncased-l-12-h-768-a-12/versions/4",
        f"{KAGGLE}/models/tensorflow/bert/frameworks/TensorFlow2/variations/en-uncased-l-12-h-768-a-12",
        f"{KAGGLE}/api/v1/models/{ENGLISH}/4/download",
        ENGLISH,
    ],
)
def test_kaggles_ways_of_writing(handle):
    assert (read(handle).kind, read(handle).address) == ("kaggle", f"{ENGLISH}/4")


def test_kaggles_newest_is_said():
    assert read(ENGLISH.lower()).note == "version 4 is the newest known"
    assert read(ENGLISH.lower()).address == f"{ENGLISH.lower()}/4"


def test_an_unknown_model_of_kaggle_needs_all_five_parts():
    assert read("owner/model/jax/small/12").address == "owner/model/jax/small/12"
    advice = "write owner/model/framework/variation/version, the version being a number"
    assert told("owner/model/jax/small").startswith(f"4 of the 5 parts of a Kaggle handle; {advice}")
    assert told(f"{KAGGLE}/models/owner/model").startswith(f"2 of the 5 parts of a Kaggle handle; {advice}")
    assert told("owner/model/jax/small/new").startswith(f"a Kaggle handle, misspelt; {advice}")
    assert told("owner/mo del/jax/small/1").startswith(f"a Kaggle handle, misspelt; {advice}")
    assert told(f"{KAGGLE}/datasets/owner/name").startswith(
        f"a page of Kaggle that is no model's; give {KAGGLE}/models/owner/model/framework/variation/version"
    )
