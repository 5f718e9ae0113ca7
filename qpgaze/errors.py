"""One tree of errors, each with a sentence a pathologist or data scientist can act on.

Every error that leaves the library is a :class:`QpgazeError`. Errors of foreign libraries become
ours where they arise (``raise ... from``), so that a caller needs no knowledge of what is beneath.
A message says what was expected, what came, and what to do about it.
"""

from __future__ import annotations


class QpgazeError(Exception):
    """Anything that qpgaze refuses or cannot do.

    Parameters
    ----------
    message : str
        What was expected and what came instead.
    hint : str, optional
        What the person can do about it, in one sentence.

    Examples
    --------
    >>> print(QpgazeError("The slide has no pixel size.", hint="Give --pixel-size 0.25."))
    The slide has no pixel size. Give --pixel-size 0.25.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class UsageError(QpgazeError, ValueError):
    """An argument that no input could make right: wrong range, wrong combination."""


class FrameError(QpgazeError, TypeError):
    """Points, boxes or times of one frame (or clock) were given where another was expected."""


class SessionError(QpgazeError):
    """A recorded session, or a table to import as one, that cannot be read or written."""


class FormatError(SessionError):
    """A file that is not what it claims to be: foreign, of another version, or damaged."""


class CoverageError(SessionError):
    """Gaze and viewer log that do not belong together: other times, other image, other unit."""


class SlideError(QpgazeError):
    """A slide that is missing, unreadable, or lacks what was asked of it (a pixel size, say)."""


class ProjectError(QpgazeError):
    """A QuPath project, or an image's data in it, that cannot be read or written."""


class UnsupportedDataError(ProjectError):
    """QuPath data with something in it that we do not understand; refused whole, never guessed."""


class ConflictError(ProjectError):
    """The project or image changed since it was read, or is in use; nothing was written."""


class EntryError(ProjectError, LookupError):
    """No such image in the project, or several of that name."""


class RefineError(QpgazeError):
    """Labels that cannot be refined with the chosen method."""


class ExportError(QpgazeError):
    """Tiles or labels that cannot be exported as asked."""


class WireError(QpgazeError):
    """The hook inside QuPath that cannot be reached, speaks another version, or says no.

    Parameters
    ----------
    message : str
    hint : str, optional
    code : str
        What kind of trouble, in a word: ``gone``, ``stale``, ``version``, ``token``, ``timeout``,
        ``malformed``, ``too_long``, or the code of the hook's answer (``conflict``, ``no_image``).
    """

    def __init__(self, message: str, *, hint: str | None = None, code: str = "failed") -> None:
        super().__init__(message, hint=hint)
        self.code = code


class SourceError(SessionError):
    """A tracker or other source of gaze that is missing, refused, or does not answer."""
