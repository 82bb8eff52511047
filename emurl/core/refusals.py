"""What a store refuses, in one line each: what it was, where, what was expected, and whose fault it is."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator

from emurl.core.errors import EmurlError, InputError, WorkError
from emurl.core.files import is_disk_full


def explain_folder(url: str, error: OSError) -> EmurlError:
    """One line for what a folder refused."""
    if is_disk_full(error):
        return WorkError(f"store {url}: the disk is full; free some and run again")
    reason = error.strerror or type(error).__name__
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
