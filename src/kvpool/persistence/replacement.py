"""Putting a file in the place of another one, all of it or nothing."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import stat
from collections.abc import Sequence

__all__ = ["replace_file"]

_SUFFIX = ".saving"
_TRIES = 100


def replace_file(path: str, parts: Sequence[bytes]) -> None:
    """Write a file, which has all of its old bytes or all of the new ones, whenever the process or the machine stops.

    The bytes go to a temporary file beside it, are brought to the disk, and take the name. Only the owner can read the
    file. What a process that was killed has left behind is removed by the next call for the same path: who still writes
    has a lock on what it writes.

    Parameters
    ----------
    path : str
        Replaced if it is a file or a link.
    parts : sequence of bytes
        What the file is to have, one after the other.

    Raises
    ------
    OSError
        It cannot be written, or is something else than a file. It has its old bytes then, or all of the new ones, if
        only its name could not be brought to the disk.
    """
    path = os.path.abspath(path)
    folder, name = os.path.split(path)
    _refuse_other_than_files(path)
    prefix = f".{name[:50]}."  # names may have 255 bytes, four for a character
    with contextlib.suppress(OSError):
        _remove_leftovers(folder, prefix)
    descriptor, temporary = _make_file(folder, prefix)
    try:
        with open(descriptor, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(descriptor)
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    _sync_folder(folder)


def _refuse_other_than_files(path: str) -> None:
    """Whoever may do anything would put a file in the place of a device."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISLNK(mode):
        raise FileExistsError(f"{path!r} is there, and is not a file")


def _is_mine(descriptor: int, unless_known: bool) -> bool:
    """Whether nobody else writes the file, from now on until it is closed; some file systems do not know."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return unless_known
    return True


def _make_file(folder: str, prefix: str) -> tuple[int, str]:
    """Return a descriptor and the path of a new file that nobody takes for a leftover."""
    for _ in range(_TRIES):
        temporary = os.path.join(folder, f"{prefix}{secrets.token_hex(4)}{_SUFFIX}")
        try:
            descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            continue
        # Somebody who removes leftovers may have been quicker with the lock.
        if _is_mine(descriptor, True) and os.fstat(descriptor).st_nlink > 0:
            return descriptor, temporary
        os.close(descriptor)
    raise FileExistsError(f"{_TRIES} names of temporary files in {folder!r} are all taken")


def _remove_leftovers(folder: str, prefix: str) -> None:
    """Remove temporary files whose writers are no more."""
    with os.scandir(folder) as entries:
        paths = [entry.path for entry in entries if entry.name.startswith(prefix) and entry.name.endswith(_SUFFIX)]
    for path in paths:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                info = os.fstat(descriptor)
                if stat.S_ISREG(info.st_mode) and info.st_uid == os.geteuid() and _is_mine(descriptor, False):
                    os.unlink(path)
            finally:
                os.close(descriptor)


def _sync_folder(folder: str) -> None:
    """Bring the name to the disk as well; some file systems do not know how to."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)
