# SPDX-License-Identifier: Apache-2.0
"""What calls raise. The compiled part makes these from the C++ exceptions."""

from typing import NamedTuple


class Diagnostic(NamedTuple):
    """One mistake of a scenario, a study or an argument."""

    file: str  #: as named by the caller; "--set key=value" for an override; "" without a place
    line: int  #: from 1; 0: the whole file
    column: int  #: from 1; 0: the whole line
    key: str  #: full dotted key, may be ""
    found: str  #: what was found
    expected: str  #: what would be right, may be ""
    source_line: str  #: text of that line, may be ""


class Error(Exception):
    """Base of all errors of moesim."""


class ScenarioError(Error, ValueError):
    """Mistakes of the user, all at once. ``str()`` is what the command line prints."""

    def __init__(self, message, diagnostics=()):
        super().__init__(message)
        #: list of :class:`Diagnostic`
        self.diagnostics = [Diagnostic(*one) for one in diagnostics]


class EnvironmentFault(Error, RuntimeError):
    """A file, a device or another program failed."""


class BugError(Error):
    """A check inside moesim failed: our bug."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C ended a study that has something to show: ``partial``, a :class:`moesim.Report`."""

    def __init__(self, message, partial):
        super().__init__(message)
        self.partial = partial
