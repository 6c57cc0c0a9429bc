"""addresses: what is known of buckets, mirrors and dead handles."""

import pytest

from wellread.catalog.modules import archive_in_bucket, dead, handles, mirrors, names


@pytest.mark.parametrize(
    ("bucket", "folder", "archive"),
    [
        ("bert_models", "2018_10_18/uncased_L-12_H-768_A-12", "2018_10_18/uncased_L-12_H-768_A-12.zip"),
        ("tfhub-modules", "google/elmo/3", "google/elmo/3.tar.gz"),
        ("tfhub-modules", "google/elmo/3/uncompressed", "google/elmo/3.tar.gz"),
        ("tfhub-modules", "google/elmo", None),
        ("jeongukjae-tf-models", "a/b", "a/b.tar.gz"),
        ("bert_models", "", None),
    ],
)
def test_a_folder_stands_for_its_archive(bucket, folder, archive):
    assert archive_in_bucket(bucket, folder) == archive


S3 = "https://s3.amazonaws.com/models.huggingface.co/bert"


@pytest.mark.parametrize(
    ("handle", "living"),
    [
        ("https://drive.google.com/open?id=13jTGc7KrvK9xp9e5GvYjyRz6bf2oJux8", "monologg/kobert"),
        ("https://drive.google.com/open?id=15Ro2LKfXEtdGdRTx15iraxREiFnD5Zig", "monologg/distilkobert"),
        ("https://kobert.blob.core.windows.net/models/kobert/tokenizer/x.spiece", "skt/kobert-base-v1"),
        (f"{S3}/monologg/kobert-lm/tokenizer_78b3253a26.model", "monologg/kobert-lm"),
        (f"{S3}/bert-base-uncased-vocab.txt", "bert-base-uncased"),
        ("https://tfhub.dev/google/collections/bert/1", "bert_en_uncased_L-12_H-768_A-12"),
    ],
)
def test_a_dead_handle_names_a_living_one_of_the_catalog(handle, living):
    reason, lives = dead(handle)
    assert lives == living
    assert living in handles() or living in names()
    assert not reason.endswith(".")


def test_nothing_is_said_of_others():
    assert dead("https://drive.google.com/open?id=another") is None
    assert dead("https://tfhub.dev/tensorflow/bert_en_uncased_L-12_H-768_A-12/4") is None


def test_the_mirror_of_the_fourth_document_is_known():
    assert "hf.xwall.us.kg" in mirrors()
