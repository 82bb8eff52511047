"""Is a file a pickle? Nothing here reads one; what is imported from elsewhere is looked at so that nobody else's tool does either.

Reading a pickle runs whatever its writer wanted, and three kinds of files hold one inside: a bare pickle, a zip with a `.pkl` (what
`torch.save` writes) and a NumPy array of objects, in an `.npz` too. Told by what is in a file, whatever its name says.
"""

from __future__ import annotations

import io
import pickletools
import re

HEAD = 1 << 16  # bytes of a file that are looked at, from its beginning and to its end
SUFFIXES = (".pkl", ".pickle", ".pck", ".joblib", ".pt", ".pth", ".ckpt", ".dill")
_FRAMED = re.compile(rb"\x80[\x02-\x09]")  # how a pickle of protocol 2 and later begins
_RUNS = {"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "REDUCE", "BUILD", "EXT1", "EXT2", "EXT4"}
_NPY_OBJECT = re.compile(rb"\x93NUMPY.{4,8}\{[^\n]{0,4096}'descr':[^\n]{0,1024}['\"][|<>=]?O", re.DOTALL)
# In a zip: the header of a member, and its name. Tensors of torch.save, and what shelves and joblib write.
_ZIPPED = re.compile(rb"PK(?:\x03\x04.{26}|\x01\x02.{42})[^\x00]{0,255}?\.(?:pkl|pickle)", re.DOTALL)


def pickled(name: str, head: bytes, tail: bytes) -> str | None:
    """What kind of pickle a file is, None when it is none.

    Args:
        name: of the file. head, tail: its first and last `HEAD` bytes, all of it where it is shorter.
    """
    if name.lower().endswith(SUFFIXES):
        return "has the name of a pickle"
    if _FRAMED.match(head) or _runs(head):
        return "is a pickle"
    if _ZIPPED.search(head) or _ZIPPED.search(tail):
        return "holds a pickle"
    if _NPY_OBJECT.search(head):  # a member of an .npz is stored or deflated: `np.load` refuses the latter when it gets there
        return "is a NumPy array of objects, which is a pickle"
    return None


def _runs(head: bytes) -> bool:
    """Whether these bytes are a pickle of protocol 0 or 1 that calls something: those begin with nothing to know them by."""
    called = False
    try:
        for code, _, _ in pickletools.genops(io.BytesIO(head)):
            called = called or code.name in _RUNS
    except Exception:  # not a pickle, or one that goes on after its head
        return False
    return called
