"""Every error a user can foresee, and what each one costs.

    AntiphonError
    ├── UsageError (ValueError)          what was asked cannot be done as asked; nothing was spent     exit 2
    │   ├── SettingsError                a setting, flag or configuration file
    │   ├── ProblemError                 a problem record or file (carries file and line)
    │   ├── PageError                    a rule page (carries file and line)
    │   ├── ModelError                   a model that is missing, has no tokenizer, or cannot be used
    │   ├── DialectError                 a template or family that does not fit the model
    │   ├── VariantChanged               what shapes the text differs from the variant on disk
    │   └── MissingDependency (ImportError)  an extra that is not installed
    ├── StoreError (OSError)             the run directory
    │   ├── StoreBusy                    another process writes it                                     exit 2
    │   ├── StoreUnfit                   not a run directory, a newer one, or a file system that
    │   │                                cannot hold it                                              exit 2
    │   └── StoreFull                    the disk is full or read-only; all finished work is kept     exit 3
    ├── StorageError                     a file at a URL: the store fails, or refuses                  exit 3
    ├── ClusterError                     a Ray cluster is out of reach, or its processes die again and again  exit 3
    ├── EngineError                      where tokens come from
    │   ├── EngineUnavailable            nothing answers: traces stay pending                          exit 3
    │   ├── RequestRefused               this request, while others are served: the trace fails
    │   └── StreamBroken                 a stream ended early; it is taken up from what was received
    └── PredictorError                   a boundary predictor broke its contract                       exit 3

A bad trace is data, not an error: it ends with a status and a cause (`antiphon.trace.Status`).
An error's text is one or two sentences: what happened, where, and what to do. It never holds a secret.
"""

from __future__ import annotations


class AntiphonError(Exception):
    """Root of the tree above. `exit_code` is what the command ends with when one reaches it."""

    exit_code = 1


class UsageError(AntiphonError, ValueError):
    """What was asked cannot be done as asked."""

    exit_code = 2


class SettingsError(UsageError):
    """A setting is unknown, of the wrong type or out of range; the message names it and its source."""


class ProblemError(UsageError):
    """A problem file or record cannot be read; the message begins with `file:line` where there is a line."""


class PageError(UsageError):
    """A rule page has an error; the message begins with `file:line`."""


class ModelError(UsageError):
    """A model cannot be found, lacks its tokenizer, or cannot do what its role needs."""


class DialectError(UsageError):
    """A dialect does not fit a model: a control token is missing, or a template renders otherwise."""


class VariantChanged(UsageError):
    """The configuration differs from the stored variant in what shapes the text; the message shows how."""


class MissingDependency(UsageError, ImportError):
    """An optional library is not installed; the message says what to install."""

    def __init__(self, library: str, extra: str | None, purpose: str):
        package = library if extra is None else f"'antiphon[{extra}]'"
        super().__init__(f"{purpose} needs {library}; install it with: pip install {package}")


class StoreError(AntiphonError, OSError):
    """The run directory cannot be used."""

    exit_code = 3


class StoreBusy(StoreError):
    """Another process has the run directory open for writing."""

    exit_code = 2


class StoreUnfit(StoreError):
    """The path is not a run directory, or one that this version cannot open here."""

    exit_code = 2


class StoreFull(StoreError):
    """A write failed for want of space or permission. What was reported finished is safe."""


class StorageError(AntiphonError):
    """A store of files at URLs does not answer, refuses or breaks off; the message names the file."""

    exit_code = 3


class ClusterError(AntiphonError):
    """Something at a Ray cluster. What its shards have kept is joined; a shard's own error keeps its exit code."""

    exit_code = 3


class EngineError(AntiphonError):
    """Something at an engine; the message names the engine or server."""

    exit_code = 3


class EngineUnavailable(EngineError):
    """The engine does not answer at all. Its traces stay pending."""


class RequestRefused(EngineError):
    """The engine serves others but not this request. The trace fails with this cause."""


class StreamBroken(EngineError):
    """A stream ended before its finish. What was received stands; the caller goes on from there."""


class PredictorError(AntiphonError):
    """A boundary predictor gave verdicts that its contract does not allow."""

    exit_code = 3
