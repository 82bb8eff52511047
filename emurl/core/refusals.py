"""What is refused, in one line each: what it was, where, what was expected, and whose fault it is."""

from __future__ import annotations

import contextlib
import difflib
import errno
import os
import reprlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from emurl.core.errors import EmurlError, InputError, WorkError
from emurl.core.files import is_disk_full


def explain_folder(url: str, error: OSError) -> EmurlError:
    """One line for what a folder refused."""
    if is_disk_full(error):
        return WorkError(f"store {url}: the disk is full; free some and run again")
    reason = error.strerror or type(error).__name__
    if error.errno in (errno.EISDIR, errno.ENOTDIR) and error.filename and str(error.filename) != url:
        reason += f": {error.filename}"
    if error.errno in (errno.EIO, errno.ESTALE, errno.ETIMEDOUT):
        return WorkError(f"store {url}: the disk does not answer ({reason})")
    return InputError(f"store {url}: not readable or not writable ({reason}), expected a folder we may write to")


@contextlib.contextmanager
def writing(what: str) -> Iterator[None]:
    """Write a file that somebody has asked for: what the disk refuses is one line about `what`."""
    try:
        yield
    except OSError as error:
        if is_disk_full(error):
            raise WorkError(f"{what}: the disk is full; free some and run again") from None
        raise InputError(f"{what}: cannot be written ({error.strerror or error}), expected a file in a folder that can") from None


def require_file(option: str, file: str | os.PathLike[str] | None, *suffixes: str) -> None:
    """Refuse, before any work, the name of a file that could not be written after it.

    Args:
        option: what the name was given for. file: the name; None where there is none. suffixes: one of which it has to end in.

    Raises:
        InputError: it ends in something else, its folder is missing or cannot be written, or it is a folder itself.
    """
    if file is None:
        return
    path = Path(file)
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"{option} {file}: expected a file name that ends in {' or '.join(suffixes)}")
    folder = path.absolute().parent
    if not folder.is_dir():
        raise InputError(f"{option} {file}: no folder {folder}, expected one that exists")
    if path.is_dir() or not os.access(folder, os.W_OK):
        raise InputError(f"{option} {file}: cannot be written, expected a file in a folder that can")


def meant(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """`; did you mean reward?` where `name` is close to one that is known, else empty."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=cutoff)
    return f"; did you mean {close[0]}?" if close else ""


_SHORT = reprlib.Repr()
_SHORT.maxlevel = 3


def shortly(value: Any) -> str:
    """A value as Python writes it, cut where it goes on and on: a text after 200 characters, a list of lists before it is unfolded."""
    told = repr(value) if isinstance(value, str | int | float) else _SHORT.repr(value)
    return told if len(told) <= 200 else f"{told[:100]}…"


def one_line(error: BaseException) -> str:
    """An error's words on one line, cut where they go on and on."""
    return (" ".join(str(error).split()) or type(error).__name__)[:240]


def code_of(error: BaseException) -> str:
    """The code in a service's answer (`NoSuchBucket`), empty when there was none."""
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""


# A code of the service or a class of a client library, and what it means: class of the failure, what, what was expected.
_MEANINGS: tuple[tuple[tuple[str, ...], type[EmurlError], str, str], ...] = (
    (("NoSuchBucket",), InputError, "the bucket does not exist", "one that does"),
    (("InvalidBucketName", "ParamValidationError"), InputError, "not a name for a bucket", "s3://bucket/prefix"),
    (("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "TokenRefreshRequired", "RequestTimeTooSkewed",
      "UnauthorizedSSOTokenError", "SSOTokenLoadError", "TokenRetrievalError"),
     InputError, "the credentials are refused", "valid ones in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile"),
    (("NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "ProfileNotFound", "NoAuthTokenError"),
     InputError, "no credentials", "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile"),
    (("PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "NoRegionError"),
     InputError, "the bucket is of another region", "its region in AWS_DEFAULT_REGION"),
    (("XMinioStorageFull", "QuotaExceeded", "InsufficientStorage", "507"), WorkError, "the store is full", "free space"),
    (("AccessDenied", "AllAccessDisabled", "AccountProblem", "403", "PermissionError", "MethodNotAllowed", "405"),
     InputError, "access denied", "credentials that may list, read, write and delete there"),
    (("EndpointConnectionError", "ConnectTimeoutError", "ReadTimeoutError", "ConnectionClosedError", "HTTPClientError", "FSTimeoutError",
      "TimeoutError", "ConnectionError", "ClientConnectorError", "gaierror", "SSLError", "ProxyConnectionError"),
     WorkError, "the endpoint does not answer", "one that can be reached from here"),
    (("SlowDown", "ServiceUnavailable", "InternalError", "500", "503", "RequestTimeout", "OperationAborted"),
     WorkError, "the service is busy or broken", "one that works: run again later"),
    (("NotImplementedError", "NotImplemented", "501"), InputError, "cannot be written to", "a store that can, such as s3://bucket/prefix"),
)  # fmt: skip


def explain_remote(url: str, error: BaseException) -> EmurlError:
    """One line for what an object store refused."""
    if isinstance(error, OSError) and is_disk_full(error):
        return WorkError("the local disk is full; free some and run again (EMURL_CACHE names another folder)")
    signs = {code_of(error), *(kind.__name__ for kind in type(error).__mro__)}
    detail = one_line(error)
    for names, kind, what, expected in _MEANINGS:
        if signs.intersection(names):
            return kind(f"store {url}: {what} ({detail}), expected {expected}")
    if isinstance(error, ValueError):
        return InputError(
            f"store {url}: cannot be used ({detail}), expected a URL such as s3://bucket/prefix and a valid endpoint"
        )
    return WorkError(f"store {url}: failed ({type(error).__name__}: {detail})")
