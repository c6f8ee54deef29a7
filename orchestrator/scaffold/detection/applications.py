"""The applications that a checkout may contain, as data."""

from __future__ import annotations

from msgspec import Struct, field


class Api(Struct, frozen=True):
    """A server application.

    ``folder`` is its build context, ``tool`` what installs its packages, ``tool_package`` the package of that tool with
    its version, ``version`` that of the language, ``entry`` what starts it (a file, a module or the project), and
    ``files`` what the installation reads.  ``command`` are shell words that start it otherwise than the template does.
    ``dockerfile`` is one that the repository has, relative to ``folder``, and ``port`` the one that it exposes.
    ``names_release``: its code already answers with its build.
    """

    language: str
    folder: str
    tool: str = ""
    version: str = ""
    entry: str = ""
    files: tuple[str, ...] = ()
    command: str = ""
    tool_package: str = ""
    dockerfile: str = ""
    port: int = 8080
    names_release: bool = False
    description: str = ""


class Site(Struct, frozen=True):
    """A static site: the ``folder`` of its project, the ``output`` that a build writes, and the ``build`` command.

    ``is_single_page``: every path is answered with index.html.
    """

    folder: str
    output: str
    build: tuple[str, ...] = ()
    description: str = ""
    is_single_page: bool = True


class Detected(Struct, frozen=True):
    """All applications of a checkout, the best guess of each kind first, and what was seen and is not supported."""

    apis: tuple[Api, ...] = ()
    sites: tuple[Site, ...] = ()
    notes: tuple[str, ...] = field(default_factory=tuple)
