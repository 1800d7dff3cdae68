"""Reading JSON that anybody may have written."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn

from kvpool.diagnosis.dump_error import DumpError

__all__ = ["MAX_COUNT", "JsonFields"]

MAX_COUNT = 2**64 - 1
_MAX_SHOWN = 40
_END_OF_TIME = 253_370_000_000  # in all time zones


class JsonFields:
    """The fields of a JSON object, each of which must be there and be what it is asked for as.

    Parameters
    ----------
    fields : object
        What was parsed.
    where : str
        What errors call it.

    Raises
    ------
    DumpError
        It is no object; from each method: the field is not there, is of another type, or out of its bounds.
    """

    def __init__(self, fields: object, where: str) -> None:
        if not isinstance(fields, dict):
            raise DumpError(f"{where} is not a JSON object")
        self._fields: dict[str, Any] = fields
        self._where = where

    @classmethod
    def parse(cls, data: bytes | bytearray, where: str, form: str, version: int) -> JsonFields:
        """Parse an object that names its format and version.

        Parameters
        ----------
        data : bytes
        where : str
            What errors call it.
        form : str
            What ``format`` must be.
        version : int
            What ``version`` must be.
        """
        try:
            fields = json.loads(data.decode("utf-8"), parse_constant=_refuse)
        except RecursionError:
            raise DumpError(f"{where} is not JSON that can be read: it is nested too deeply") from None
        except ValueError as error:
            raise DumpError(f"{where} is not JSON, or cut short: {error}") from None
        self = cls(fields, where)
        if self._fields.get("format") != form:
            raise DumpError(f"{where} is not a {form}: its format is {_show(self._fields.get('format'))}")
        if self._fields.get("version") != version or isinstance(self._fields["version"], bool):
            raise DumpError(f"{where} has version {_show(self._fields.get('version'))}, but only {version} can be read")
        return self

    def __contains__(self, name: str) -> bool:
        return name in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def _get(self, name: str) -> Any:
        if name not in self._fields:
            raise DumpError(f"{self._where} has no {name}")
        return self._fields[name]

    def _fail(self, name: str, value: object, wanted: str) -> NoReturn:
        raise DumpError(f"{self._where}: {name} = {_show(value)} is not {wanted}")

    def count(self, name: str, low: int = 0, high: int = MAX_COUNT) -> int:
        """Return an int in [low, high]."""
        value = self._get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            self._fail(name, value, f"an int in [{low}, {high}]")
        return value

    def number(self, name: str) -> float:
        """Return a finite number."""
        value = self._get(name)
        if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
            self._fail(name, value, "a finite number")
        return float(value)

    def moment(self, name: str) -> float:
        """Return a time in seconds since 1970, before the year 10000: what a calendar can show."""
        value = self.number(name)
        if not 0 <= value < _END_OF_TIME:
            self._fail(name, value, f"a time in [0, {_END_OF_TIME}) seconds since 1970")
        return value

    def flag(self, name: str) -> bool:
        """Return True or False."""
        value = self._get(name)
        if not isinstance(value, bool):
            self._fail(name, value, "true or false")
        return value

    def text(self, name: str) -> str:
        """Return a text."""
        value = self._get(name)
        if not isinstance(value, str):
            self._fail(name, value, "a text")
        return value

    def text_or_none(self, name: str) -> str | None:
        """Return a text, or None for null."""
        return None if self._get(name) is None else self.text(name)

    def items(self, name: str) -> list[Any]:
        """Return a list of whatever."""
        value = self._get(name)
        if not isinstance(value, list):
            self._fail(name, value, "a list")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        found = self.items(name)
        for value in found:
            if not isinstance(value, str):
                self._fail(name, value, "a list of texts")
        return tuple(found)

    def counts(self, name: str, length: int) -> list[int]:
        """Return a list of so many counts."""
        found = self.items(name)
        if len(found) != length:
            raise DumpError(f"{self._where}: {name} has {len(found)} entries, not {length}")
        for value in found:
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_COUNT:
                self._fail(name, value, f"a list of ints in [0, {MAX_COUNT}]")
        return found

    def inner(self, name: str) -> JsonFields:
        """Return the fields of an object in the object."""
        return JsonFields(self._get(name), f"{self._where}: {name}")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a number of JSON")


def _show(value: object) -> str:
    """Return a value as text of one line that is not long."""
    if isinstance(value, int) and value.bit_length() > 128:
        return f"an int of {value.bit_length()} bits"
    text = json.dumps(value) if value is None or isinstance(value, str | int | float) else f"a {type(value).__name__}"
    return text if len(text) <= _MAX_SHOWN else text[: _MAX_SHOWN - 3] + "..."
