"""Read dumps: files .npz and .json with the arrays of one or several calls, as one flat mapping by name."""

from __future__ import annotations

import lzma
import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from conformance.cases import form
from conformance.engine.files import Damaged, bounded_count, json_data, read_text, shown
from conformance.engine.text import OneSentence, printable

HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
UNREADABLE = (  # raised by readers of what is no .npz file
    *(zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, KeyError),
    *(ValueError, TypeError, NotImplementedError, RuntimeError, OverflowError, MemoryError, IndexError, AttributeError),
    *(SyntaxError, AssertionError),
)
MAX_AXES = 32
MAX_BYTES = 1 << 30  # of all arrays of a file together
MAX_JSON_BYTES = 1 << 28
SHOWN = 60  # characters of a value in a message
ARRAY_FIELDS = frozenset({"name", "shape", "data", "fill", "divisor", "put"})


class Untyped(np.ndarray):
    """An array of numbers without a dtype, from JSON or lists."""


class BrokenDump(OneSentence, ValueError):
    """A dump that cannot be judged. The message names the array and says what to do."""


def read(path: Path) -> dict[str, Any]:
    """Return the values of a file by name; the names of nested groups are joined by ``/``.

    Raises BrokenDump, without the file's name in its message.
    """
    try:
        if path.is_dir():
            raise BrokenDump("it is a folder without model.onnx; name a file .npz or .json")
        with path.open("rb") as file:
            head = file.read(6)
        if not head:
            raise BrokenDump("the file is empty; dump the arrays again")
        if head.startswith(b"\x93NUMPY"):
            raise BrokenDump("this is one array (.npy); save all arrays by name with numpy.savez")
        return _read_npz(path) if head.startswith(b"PK") else _read_json(path)
    except OSError as error:
        raise BrokenDump(f"it cannot be read ({error.strerror or error}); check the path") from error


def _read_npz(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    try:
        with warnings.catch_warnings(), zipfile.ZipFile(path) as archive:
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            members = archive.infolist()
            size = sum(member.file_size for member in members)
            if size > MAX_BYTES:
                raise BrokenDump(f"it holds {size / 1e9:.1f} GB of arrays; dump one call of fewer samples and steps")
            for member in members:
                name = printable(member.filename).removesuffix(".npy")
                if name in found:
                    raise BrokenDump(f"{name} stands twice; remove one of them")
                with archive.open(member) as file:
                    found[name] = _read_array(name, file, member.file_size)
    except BrokenDump:
        raise
    except UNREADABLE as error:
        raise BrokenDump("this is no whole .npz file; save it again with numpy.savez") from error
    return found


def _read_array(name: str, file: IO[bytes], size: int) -> np.ndarray:
    """Read an array of an .npz file; ``size`` is the number of its bytes, which bounds what is allocated."""
    version = np.lib.format.read_magic(file)
    read_header = HEADERS.get(version)
    shape, fortran, dtype = read_header(file) if read_header else ((), False, np.dtype(object))
    if dtype.hasobject or dtype.names is not None:
        raise BrokenDump(
            f"{name}: this is an array of Python objects or of an unknown dtype, which is not read; save plain "
            "numbers, one array for each name"
        )
    count = math.prod(shape)
    data = file.read()
    if len(shape) > MAX_AXES or count * dtype.itemsize != len(data) or len(data) > size:
        raise BrokenDump(f"{name}: its header speaks of the shape {shown(list(shape))} and {len(data)} bytes follow; "
                         "save it again with numpy.savez")  # fmt: skip
    flat_numbers = np.frombuffer(data, dtype, count) if dtype.itemsize else np.empty(0, dtype)
    return flat_numbers.reshape(shape, order="F" if fortran else "C").copy()


def _read_json(path: Path) -> dict[str, Any]:
    size = path.stat().st_size
    if size > MAX_JSON_BYTES:
        raise BrokenDump(f"it has {size / 1e6:.0f} MB of JSON; save such arrays as .npz, or dump a smaller call")
    try:
        document = json_data(read_text(path))
    except Damaged as error:
        neither = "this is neither .npz nor JSON; " if "this is no" in error.what else ""
        raise BrokenDump(f"{neither}{error}") from error
    if isinstance(document, list):
        document = {"calls": document}
    if not isinstance(document, dict):
        raise BrokenDump(f"it holds {short(document)}, expected an object of arrays by name")
    return flat(document)


def flat(document: Mapping[str, Any], within: str = "") -> dict[str, Any]:
    """Return the values of nested mappings by their joined names; an array of the cases' form becomes an array.

    ``calls`` may hold a list of calls, which are numbered, and ``parameters`` a mapping or a list of named arrays.
    """
    found: dict[str, Any] = {}

    def put(name: str, value: Any) -> None:
        if name in found:
            raise BrokenDump(f"{name} stands twice; remove one of them")
        found[name] = value

    for key, value in document.items():
        name = f"{within}{key}"
        if value is None:
            continue
        if key == "calls" and isinstance(value, Sequence) and not isinstance(value, str):
            for number, call in enumerate(value):
                if not isinstance(call, Mapping):
                    raise BrokenDump(f"{name}[{number}] is {short(call)}, expected an object of arrays by name")
                for inner, one in flat(call).items():
                    put(f"{within}{number}/{inner}", one)
        elif key == "parameters":
            for inner, one in _parameters(name, value).items():
                put(f"{within}{inner}", one)
        elif isinstance(value, Mapping) and "shape" in value:
            put(name, _array(name, value))
        elif isinstance(value, Mapping):
            for inner, one in flat(value, f"{name}/").items():
                put(inner, one)
        else:
            put(name, _own_array(name, value))
    return found


def _own_array(name: str, value: Any) -> Any:
    """Return a framework's array, such as a torch tensor, as NumPy's; other values as they are."""
    if isinstance(value, (np.ndarray, np.generic)) or not hasattr(value, "__array__"):
        return value
    try:
        return np.asarray(value)
    except Exception as error:
        said = " ".join(str(error).split())[:200]
        raise BrokenDump(f"{name}: it does not become a NumPy array ({said}); convert it") from error


def _parameters(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        return flat(value)
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise BrokenDump(f"{name} is {short(value)}, expected an object of arrays by name")
    found: dict[str, Any] = {}
    for number, entry in enumerate(value):
        if not (isinstance(entry, Mapping) and isinstance(entry.get("name"), str)):
            raise BrokenDump(f"{name}[{number}] has no name; give each array one")
        found[entry["name"]] = _array(entry["name"], entry)
    return found


def _array(name: str, spec: Mapping[str, Any]) -> np.ndarray:
    """Return an array of the cases' form; a missing divisor is 1."""
    unknown = sorted(set(map(str, spec)) - ARRAY_FIELDS)
    if unknown:
        raise BrokenDump(f"{name}: {unknown[0]} means nothing in an array; its fields are shape, divisor and data")
    if spec.get("divisor", 1) == 0:
        raise BrokenDump(f"{name}: the divisor is 0; leave it out, or give a power of two")
    if ("data" in spec) == ("fill" in spec):
        raise BrokenDump(f"{name}: give either data or fill")
    try:
        given = dict(spec)
        if "data" in given:
            given["data"] = [form.SPECIAL.get(v, v) if isinstance(v, str) else v for v in given["data"]]
        bounded_count([int(n) for n in given["shape"]], MAX_BYTES // 8)
        return form.array({"divisor": 1, **given}).view(Untyped)
    except BrokenDump:
        raise
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, AttributeError) as error:
        raise BrokenDump(f"{name}: {_sentence(error)}") from error


def numbers(name: str, value: Any) -> np.ndarray:
    """Return a value as an array of numbers. Raises BrokenDump."""
    if isinstance(value, np.ma.MaskedArray):
        raise BrokenDump(f"{name}: this is a masked array; dump a plain one, as what is under a mask is no number")
    value = np.asarray(value) if isinstance(value, np.ndarray) else _nested(name, value)
    if value.dtype.name == "bfloat16":
        return value
    if value.dtype.kind == "V" and value.dtype.itemsize == 2:  # as numpy.savez stores bfloat16
        import ml_dtypes

        return value.view(ml_dtypes.bfloat16)
    if value.dtype.kind == "O":
        raise BrokenDump(f"{name}: this is an array of Python objects; dump an array of numbers")
    if value.dtype.kind not in "fiu":
        raise BrokenDump(f"{name}: the dtype {value.dtype} is none of numbers; dump an array of floating-point numbers")
    return value


def _nested(name: str, value: Any) -> np.ndarray:
    if isinstance(value, (bool, str)) or not isinstance(value, (list, tuple, int, float, np.number)):
        raise BrokenDump(f"{name}: got {short(value)}, expected an array of numbers")
    try:
        array = np.array(_special(value))
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        raise BrokenDump(f"{name}: its lists differ in length or depth; make each row as long as the others") from error
    if array.dtype.kind not in "fiu":
        raise BrokenDump(f"{name}: it holds something that is no number; write numbers alone")
    return array.astype(np.float64) if array.dtype.kind in "iu" else array


def _special(value: Any) -> Any:
    """Return nested lists with the names of NaN and the infinities replaced."""
    if isinstance(value, (list, tuple)):
        return [_special(part) for part in value]
    return form.SPECIAL.get(value, value) if isinstance(value, str) else value


def typed(value: Any) -> bool:
    """Return whether a value is an array of floating-point numbers of a chosen dtype."""
    return isinstance(value, np.ndarray) and not isinstance(value, Untyped) and value.dtype.kind in "fV"


def plain(value: Any) -> Any:
    """Return a scalar array of any dtype as Python's value, and other values as they are."""
    if isinstance(value, np.ndarray) and value.size == 1 and value.dtype.kind in "USbiuf":
        value = value.reshape(())[()]
    if isinstance(value, np.generic):
        value = value.item()
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def short(value: Any) -> str:
    """Return a value, or its type, in a few words."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape}"
    try:
        text = type(value).__name__ if isinstance(value, (dict, list, tuple)) else repr(value)
    except Exception:
        text = type(value).__name__
    text = " ".join(text.split())
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def _sentence(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"{error.args[0]} is missing; the fields of an array are shape, divisor and data"
    return " ".join(str(error).split()) or type(error).__name__
