"""dataclass: what is made has the behaviour of the standard library's, and compiles nothing at import."""

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, asdict, field, fields, replace

import pytest

from wellread.dataclass import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """A class of ours."""

    name: str
    sizes: tuple[int, ...] = (3, 7)
    notes: Mapping[str, str] = field(default_factory=dict)
    source: str = field(default="", compare=False)
    secret: str = field(default="", repr=False)

    def __post_init__(self):
        if not self.name:
            raise ValueError("no name")
        object.__setattr__(self, "source", self.source or "unknown")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Theirs:
    """The same class of the standard library."""

    name: str
    sizes: tuple[int, ...] = (3, 7)
    notes: Mapping[str, str] = field(default_factory=dict)
    source: str = field(default="", compare=False)
    secret: str = field(default="", repr=False)

    __post_init__ = Shape.__post_init__


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Unequal:
    """A class whose instances are equal to themselves alone."""

    value: int

    def __repr__(self):
        return "mine"


@dataclass(frozen=True, slots=True, kw_only=True)
class One:
    """A class of one field, which may hold itself."""

    value: object


@pytest.mark.parametrize(
    "given",
    [{"name": "a"}, {"name": "b", "sizes": (), "notes": {"x": "y"}}, {"name": "c", "source": "s", "secret": "t"}],
)
def test_values_and_what_is_shown_are_the_librarys(given):
    ours, theirs = Shape(**given), Theirs(**given)
    assert asdict(ours) == asdict(theirs)
    assert repr(ours) == repr(theirs).replace("Theirs", "Shape")
    assert asdict(replace(ours, name="d")) == asdict(replace(theirs, name="d"))
    assert [each.name for each in fields(Shape)] == [each.name for each in fields(Theirs)]
    assert (Shape.__match_args__, Shape.__slots__) == (Theirs.__match_args__, Theirs.__slots__)


@pytest.mark.parametrize("given", [{}, {"name": "a", "color": 1}, {"sizes": ()}, {"name": ""}])
def test_wrong_arguments_are_refused_as_the_library_does(given):
    errors = []
    for cls in (Shape, Theirs):
        with pytest.raises((TypeError, ValueError)) as error:
            cls(**given)
        errors.append(str(error.value).replace("Theirs", "Shape"))
    assert errors[0] == errors[1]
    with pytest.raises(TypeError, match="positional"):
        Shape("a")


def test_each_instance_has_values_of_its_own():
    assert Shape(name="a").notes is not Shape(name="a").notes


def test_what_is_frozen_stays_as_it_is():
    shape = Shape(name="a")
    for change in (
        lambda: setattr(shape, "name", "b"),
        lambda: setattr(shape, "other", 1),
        lambda: delattr(shape, "name"),
    ):
        with pytest.raises(FrozenInstanceError, match="cannot (assign to|delete) field"):
            change()
    assert shape.name == "a"


def test_equal_values_are_equal_and_hash_alike():
    shape = Shape(name="a", notes=())
    assert shape == Shape(name="a", notes=(), source="elsewhere")
    assert hash(shape) == hash(Shape(name="a", notes=(), source="elsewhere"))
    assert shape != Shape(name="b", notes=())
    assert shape != Theirs(name="a", notes=())
    assert Shape.__eq__(shape, 7) is NotImplemented
    assert One(value=1) == One(value=1) != One(value=2)
    assert len({One(value=1), One(value=1)}) == 1
    with pytest.raises(TypeError, match="unhashable"):
        hash(Shape(name="a"))


def test_without_eq_an_instance_is_equal_to_itself_alone():
    first = Unequal(value=1)
    assert first == first
    assert first != Unequal(value=1)
    assert len({first, Unequal(value=1)}) == 2
    assert repr(first) == "mine"


def test_one_that_holds_itself_is_shown():
    values = []
    one = One(value=values)
    values.append(one)
    assert repr(one) == "One(value=[...])"


@pytest.mark.parametrize("take", [lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy])
def test_pickles_and_copies_are_equal(take):
    shape = Shape(name="a", notes={"x": "y"}, source="s")
    again = take(shape)
    assert (again, again.source) == (shape, "s")
    assert again is not shape


def test_other_kinds_are_the_librarys_to_make():
    with pytest.raises(AssertionError, match="other dataclasses"):
        dataclass(frozen=False, slots=True, kw_only=True)


def test_nothing_is_compiled_at_import():
    code = (
        "import builtins; import wellread.dataclass as module; run = exec; count = []\n"
        "builtins.exec = lambda *given: (count.append(1), run(*given))[1]\n"
        "@module.dataclass(frozen=True, slots=True, kw_only=True)\n"
        "class A:\n    'a'\n    x: int = 0\n"
        "before = len(count); A(); A(); print(before, len(count))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "1"]
