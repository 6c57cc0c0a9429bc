"""What is installed, held against what is needed: on distributions that the test writes."""

import sys

import pytest

from wellread.doctor import installation
from wellread.doctor.installation import Package


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a distribution on the path that has a name, a version and needs."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(name, version, *needs, extras=()):
        directory = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        directory.mkdir()
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        lines += [f"Provides-Extra: {extra}" for extra in extras] + [f"Requires-Dist: {need}" for need in needs]
        (directory / "METADATA").write_text("\n".join(lines) + "\n")

    return install


@pytest.fixture
def ours(install):
    needs = ["aa>=2", "ab", "tensorflow-cpu<2.22,>=2.21; extra == 'tf'", "setuptools<1; extra == 'tf'"]
    install("ours", "1", *needs, "ac; extra == 'dev'", "ad; python_version < '3'", extras=("tf", "dev"))


def said(found):
    return [(problem.found, problem.advice, problem.broken) for problem in installation.package_problems(found)]


def test_of_wellread_itself():
    found = installation.packages()
    assert {package.name for package in found if package.extra is None} >= {"numpy", "openvino", "huggingface-hub"}
    assert all(package.fits for package in found if package.extra is None)
    assert {package.name for package in found if package.extra == "tf"} >= {"tensorflow-text", "setuptools"}
    assert "dev" not in {package.extra for package in found}
    assert not [problem for problem in said(found) if problem[2]]


def test_what_is_needed_and_what_is_there(ours, install):
    install("aa", "1.5")
    found = installation.packages("ours")
    assert found[:2] == [
        Package(name="aa", needed=">=2", extra=None, version="1.5"),
        Package(name="ab", needed="", extra=None, version=None),
    ]
    assert [(package.name, package.extra) for package in found[2:]] == [("tensorflow-cpu", "tf"), ("setuptools", "tf")]
    missing = [("wellread needs ab; found none", "run pip install --upgrade wellread", True)]
    old = [("wellread needs aa>=2; found 1.5", "run pip install --upgrade wellread", True)]
    assert said([found[0]]) == old
    assert said([found[1], found[0]]) == missing + old


def test_a_core_that_is_missing_altogether(ours):
    assert said(installation.packages("ours")[:1]) == [
        ("wellread needs aa>=2; found none", "run pip install --upgrade wellread", True)
    ]


def test_an_extra_counts_where_one_of_its_packages_is_there():
    nothing = Package(name="xa", needed=">=2", extra="e", version=None)
    helper = Package(name="setuptools", needed="<1", extra="e", version="80")
    there = Package(name="numpy", needed=">=1", extra="e", version="2")
    advice = 'run pip install "wellread[e]"'
    assert said([nothing, helper]) == []
    assert said([nothing, helper, there]) == [
        ("wellread needs xa>=2; found none", advice, False),
        ("wellread needs setuptools<1; found 80", advice, True),
    ]


def test_another_name_of_the_same_package_counts(ours, install):
    install("tensorflow-macos", "2.21.3", "aa<2")
    install("aa", "2.1")
    found = installation.packages("ours")[2]
    # tensorflow-cpu is installed where the tests run; what stands first on the path counts
    assert found.fits
    assert installation._version("tensorflow-intel") is None


def test_what_packages_need_of_each_other(install):
    install("xa", "1", "xb>=2", "xc", "xd; extra == 'more'", "xe; sys_platform == 'none'", "xf<4")
    install("xb", "1.9")
    install("xf", "3.0rc1")
    found = [Package(name="xa", needed="", extra=None, version="1")]
    assert said(found) == [
        ("xa 1 needs xb>=2; found 1.9", "run pip install 'xb>=2'", False),
        ("xa 1 needs xc; found none", "run pip install 'xc'", False),
    ]


def test_where_nothing_is_installed():
    assert installation.packages("no-such-distribution") == []
    assert said([]) == [("wellread is not installed, only there", "run pip install wellread", True)]


def test_nothing_is_imported():
    import subprocess

    probe = "import sys; from wellread.doctor import installation as i; [*i.package_problems(i.packages())]\n"
    probe += "print({'torch', 'tensorflow', 'keras', 'openvino', 'huggingface_hub'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
