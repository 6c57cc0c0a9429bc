"""spelling: schemes, hosts, buckets, and what has neither."""

import pytest

from wellread.errors import HandleError
from wellread.hub.parse import read

STORAGE = "https://storage.googleapis.com"


def told(handle):
    with pytest.raises(HandleError) as error:
        read(handle)
    _, looks, advice = str(error.value).split("; ")
    return looks.removeprefix("it looks like "), advice


@pytest.mark.parametrize(
    ("handle", "address"),
    [
        ("gs://bert_models/2020_02_20/uncased_L-2_H-128_A-2.zip", "/bert_models/2020_02_20/uncased_L-2_H-128_A-2.zip"),
        ("gs://bert_models/2018_10_18/cased_L-12_H-768_A-12/", "/bert_models/2018_10_18/cased_L-12_H-768_A-12.zip"),
        ("gs://tfhub-modules/google/elmo/3/uncompressed", "/tfhub-modules/google/elmo/3.tar.gz"),
        ("GS://jeongukjae-tf-models/a/b.tar.gz", "/jeongukjae-tf-models/a/b.tar.gz"),
    ],
)
def test_a_public_bucket_is_read_over_https(handle, address):
    assert (read(handle).kind, read(handle).address) == ("archive", STORAGE + address)


def test_other_buckets_and_folders_are_refused():
    assert told("gs://nobody/a.zip") == (
        "a bucket of Google Cloud, 'nobody', and wellread knows bert_models, jeongukjae-tf-models, tfhub-modules",
        "give the https:// address of an archive in it",
    )
    looks, advice = told("gs://tfhub-modules/google/elmo")
    assert looks == "a folder of the bucket tfhub-modules that no archive is known for"
    assert advice.startswith("name an archive")


@pytest.mark.parametrize(
    "address",
    [
        *(f"https://example.org/model{suffix}" for suffix in (".zip", ".tar.gz", ".tgz", ".tar", ".ZIP")),
        "https://example.org:8443/a/model.zip?signature=abc%2F",
        "http://127.0.0.1:9/module.tar.gz",
        "http://localhost/module.tar.gz",
        "http://[::1]:9/module.tar.gz",
    ],
)
def test_an_archive_may_be_anywhere(address):
    assert (read(address).kind, read(address).address) == ("archive", address)
    assert read(f"{address}#part").address == address


def test_an_address_that_ends_in_a_version_is_tensorflow_hubs():
    assert (read("https://example.org/encoder/1").kind, read("https://example.org/encoder/1").address) == (
        "tfhub",
        "https://example.org/encoder/1",
    )


def test_an_address_of_elsewhere_is_refused():
    looks, advice = told("https://example.org/model")
    assert looks == "an address of example.org, where wellread knows no modules"
    assert advice == "name an archive (.tar.gz, .tgz, .tar, .zip), or a module's address that ends in its version"
    looks, advice = told("http://example.org/a.zip")
    assert looks == "an http:// address of example.org, which anyone on the way may change"
    assert advice == "use https://"


@pytest.mark.parametrize("address", ["https://me:secret@example.org/a.zip", "https://me@huggingface.co/owner/name"])
def test_names_and_passwords_are_refused_and_not_repeated(address):
    assert told(address) == ("an address with a name or password in it", "leave them out, and log in instead")


@pytest.mark.parametrize(
    "address", ["https://", "https:///a.zip", "https://[::1/a.zip", "https://host:port/a.zip", "https://host:0/a.zip"]
)
def test_an_address_without_a_readable_host_is_refused(address):
    assert told(address)[0] == "an address whose host or port cannot be read"


@pytest.mark.parametrize("path", ["../a.zip", "a/./b.zip", "%2e%2e/a.zip", "a/.."])
def test_an_address_that_climbs_is_refused(path):
    looks, advice = told(f"https://example.org/{path}")
    assert (looks, advice) == ("an address that climbs, with . or .. in its path", "write the path out")
    assert told("gs://bert_models/../a.zip")[0] == looks


@pytest.mark.parametrize("name", ["a b", "한국", "é"])
def test_an_address_is_percent_encoded(name):
    looks, advice = told(f"https://example.org/{name}.zip")
    assert (looks, advice) == ("an address with characters that none may have", "percent-encode them")


def test_other_schemes_are_refused():
    looks, advice = told("ftp://example.org/a.zip")
    assert looks == "an address of the scheme 'ftp'"
    assert advice == "use one of https, http, hf, gs, or a path"


@pytest.mark.parametrize(
    "path", ["./a", "../..", "/etc/passwd", "~/a", "file:///etc/passwd", "FILE:a", "a\\b", "C:\\a"]
)
def test_a_path_that_is_not_there_is_called_a_path(path):
    assert told(path) == ("a path, and there is nothing at it", "check its spelling")


def test_a_file_that_is_not_there_is_called_a_file():
    assert told("models/model.zip")[0] == "a file, and there is none"
    assert told("model.safetensors")[0] == "a file, and there is none"
    assert told("a/b/c")[0] == "a path of 3 parts, and there is nothing at it"


@pytest.mark.parametrize(
    ("handle", "kind"),
    [
        ("jeongukjae/distilkobert_cased_L-3_H-768_A-12/1", "tfhub"),
        ("jeongukjae/distilkobert_cased_L-3_H-768_A-12", "tfhub"),
        ("tensorflow/bert_en_uncased_preprocess/3", "tfhub"),
        (
            "google/bert_uncased_L-12_H-768_A-12",
            "huggingface",
        ),  # TF Hub has one of that name, dead and of other weights
        ("owner/name", "huggingface"),
        ("tensorflow/bert/tensorFlow2/bert-en-uncased-l-4-h-128-a-2/1", "kaggle"),
    ],
)
def test_a_handle_without_a_scheme_is_told_by_its_parts(handle, kind):
    assert read(handle).kind == kind
