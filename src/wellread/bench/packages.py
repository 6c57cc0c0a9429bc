"""What wellread needs of other packages, what is installed of them, and what does not fit; nothing is imported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement

from wellread.hub.problem import Problem

# A package may be installed under one of these names instead.
INSTEAD = {
    "tensorflow-cpu": ("tensorflow", "tensorflow-intel", "tensorflow-macos"),
    "tensorflow": ("tensorflow-cpu", "tensorflow-intel", "tensorflow-macos"),
    "onnxruntime": ("onnxruntime-gpu", "onnxruntime-openvino"),
}
HIDDEN = "dev"  # the extra of those who work on wellread
EVERYWHERE = ("setuptools",)  # that these are installed says nothing about an extra


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package that wellread needs, always or for an extra."""

    name: str
    needed: str  # the versions that fit, as pip writes them
    extra: str | None  # None: always
    version: str | None  # None: not installed

    @property
    def fits(self) -> bool:
        """Whether it is installed in a version that fits."""
        return self.version is not None and _contains(self.needed, self.version)


def packages(distribution: str = "wellread") -> list[Package]:
    """List what a distribution needs: always first, then extra by extra; empty where it is not installed itself.

    >>> [package.extra for package in packages() if package.name == "numpy"]
    [None]
    """
    try:
        asked = [Requirement(line) for line in metadata.requires(distribution) or ()]
        extras = metadata.metadata(distribution).get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return []
    always = [_package(need, None) for need in asked if _holds(need, "")]
    named = [(need, extra) for extra in sorted(extras) if extra != HIDDEN for need in asked if not _holds(need, "")]
    return always + [_package(need, extra) for need, extra in named if _holds(need, extra)]


def _package(need: Requirement, extra: str | None) -> Package:
    return Package(name=need.name, needed=str(need.specifier), extra=extra, version=_version(need.name))


def _holds(need: Requirement, extra: str) -> bool:
    return need.marker is None or need.marker.evaluate({"extra": extra})


def _version(name: str) -> str | None:
    for each in (name, *INSTEAD.get(name, ())):
        try:
            return metadata.version(each)
        except metadata.PackageNotFoundError:
            continue
    return None


def _contains(needed: str, version: str) -> bool:
    return Requirement(f"a{needed}").specifier.contains(version, prereleases=True)


def problems(found: Sequence[Package]) -> Iterator[Problem]:
    """Tell what is missing or does not fit: of what wellread needs, and of what these packages need of others.

    An extra counts where one of its packages is installed.
    """
    if not found:
        yield Problem(found="wellread is not installed, only there", advice="run pip install wellread")
    begun = {package.extra for package in found if package.version and package.name not in EVERYWHERE} | {None}
    for package in found:
        if not package.fits and package.extra in begun:
            yield Problem(
                found=f"wellread needs {package.name}{package.needed}; found {package.version or 'none'}",
                advice=f"run {install(package.extra)}",
                broken=package.extra is None or package.version is not None,
            )
    for name in sorted({package.name for package in found if package.version and package.extra in begun}):
        yield from _conflicts(name)


def _conflicts(name: str) -> Iterator[Problem]:
    """Tell which of a package's own needs the installed versions do not meet."""
    installed = next((each for each in (name, *INSTEAD.get(name, ())) if _is_installed(each)), name)
    for need in map(Requirement, metadata.requires(installed) or ()):
        if _holds(need, "") and not ((version := _version(need.name)) and need.specifier.contains(version, True)):
            yield Problem(
                found=f"{installed} {_version(name)} needs {need.name}{need.specifier}; found {version or 'none'}",
                advice=f"run pip install '{need.name}{need.specifier}'",
                broken=False,  # its authors' bound, which may be too narrow
            )


def _is_installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


def install(extra: str | None) -> str:
    """Return the command that installs wellread with an extra.

    >>> install("tf")
    'pip install "wellread[tf]"'
    """
    return f'pip install "wellread[{extra}]"' if extra else "pip install --upgrade wellread"
