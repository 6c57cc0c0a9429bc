"""install and uninstall: legacy names, in this process alone, and never over an installed package unasked."""

import importlib
import importlib.util
import pickle
import subprocess
import sys
import tomllib
import types
from pathlib import Path

import pytest

from wellread import compat
from wellread.compat import STAND_INS
from wellread.errors import InputError

ROOT = Path(__file__).parent.parent.parent
FILES = ROOT / "tests" / "data" / "kobert"


@pytest.fixture(autouse=True)
def _clean():
    yield
    compat.uninstall()
    assert not STAND_INS.keys() & sys.modules.keys()


def test_the_names_are_found_after_install_and_not_before_or_after():
    for name in STAND_INS:
        assert importlib.util.find_spec(name) is None
    compat.install()
    compat.install()  # again does no harm
    from distilkobert import get_distilkobert_model, get_nsmc_model, get_tokenizer
    from kobert_transformers import get_distilkobert_lm, get_kobert_lm, get_kobert_model
    from tokenization_kobert import KoBertTokenizer

    assert get_tokenizer(FILES).tokenize("오") == KoBertTokenizer.from_pretrained(FILES).tokenize("오") == ["▁오"]
    for function in (get_distilkobert_model, get_nsmc_model, get_distilkobert_lm, get_kobert_lm, get_kobert_model):
        assert function.__module__ == "wellread.compat.distilkobert"
    compat.uninstall()
    for name in STAND_INS:
        with pytest.raises(ModuleNotFoundError):
            importlib.import_module(name)


def test_pickles_load_without_install():
    compat.install()
    from tokenization_kobert import KoBertTokenizer

    held = pickle.dumps(KoBertTokenizer.from_pretrained(FILES))
    compat.uninstall()
    assert pickle.loads(held).tokenize("오") == ["▁오"]


def test_an_installed_package_is_not_displaced_unasked(tmp_path, monkeypatch):
    (tmp_path / "tokenization_kobert.py").write_text("KoBertTokenizer = 'theirs'")
    monkeypatch.syspath_prepend(tmp_path)
    message = rf"found others: tokenization_kobert \({tmp_path}/tokenization_kobert\.py\); remove them, or call install"
    with pytest.raises(InputError, match=message):
        compat.install()
    assert not STAND_INS.keys() & sys.modules.keys()  # all or none
    compat.install(override=True)
    assert importlib.import_module("tokenization_kobert").KoBertTokenizer is not None
    compat.uninstall()
    assert importlib.import_module("tokenization_kobert").KoBertTokenizer == "theirs"
    del sys.modules["tokenization_kobert"]


def test_an_imported_module_comes_back(monkeypatch):
    theirs = types.ModuleType("distilkobert")
    monkeypatch.setitem(sys.modules, "distilkobert", theirs)
    with pytest.raises(InputError, match=r"found others: distilkobert \(made by this process\); remove"):
        compat.install()
    compat.install(override=True)
    compat.install()  # now it is ours
    assert sys.modules["distilkobert"] is not theirs
    compat.uninstall()
    assert sys.modules["distilkobert"] is theirs
    del sys.modules["distilkobert"]


def test_a_directory_of_weights_under_that_name_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "distilkobert").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    compat.install()
    assert importlib.import_module("distilkobert").get_tokenizer


def test_uninstall_alone_does_nothing():
    compat.uninstall()


def test_the_wheel_owns_none_of_the_names():
    made = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert made["packages"] == ["src/wellread"]


def test_the_tokenizer_needs_no_torch():
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import wellread.compat as compat; compat.install()\n"
        "from distilkobert import get_tokenizer\n"
        f"print(get_tokenizer({str(FILES)!r}).encode('한국어 모델을 공유합니다.'), 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[2, 4958, 6855, 2046, 7088, 1050, 7843, 54, 3] False"
