"""Reads a JSON object of a source field by field."""

import math
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from cachelab.dataset.block_fields import FormatError
from cachelab.dataset.ignored_fields import IgnoredFields
from cachelab.dataset.json_text import described, is_unicode, kind, quoted
from cachelab.errors import DatasetError

MAX_TOKENS = 1 << 31


@dataclass(frozen=True, slots=True)
class Record:
    """A JSON object and its place in the source. Each method raises DatasetError that names the place and the field."""

    fields: dict[str, Any]
    where: str

    @classmethod
    def of(cls, value: object, where: str, what: str) -> "Record":
        """The record for a JSON value, which must be an object; `what` describes it for the error."""
        if not isinstance(value, dict):
            raise DatasetError(f"{where} is {kind(value)}, not {what}: correct it")
        return cls(value, where)

    def has(self, field: str) -> bool:
        """Whether the field is present and not null."""
        return self.fields.get(field) is not None

    def check_fields(self, known: Collection[str], ignore: Collection[str], ignored: IgnoredFields) -> None:
        """Count the ignored fields.

        Raises FormatError if another field is unknown, because it may change the meaning of the record.
        """
        others = [field for field in self.fields if field not in known]
        if unknown := [field for field in others if field not in ignore]:
            raise FormatError(
                f"{self.where}: field {quoted(unknown[0])} is not known: if it does not change the prompts, "
                "list it in dataset.ignore_fields"
            )
        ignored.add(others)

    def value(self, field: str, way_out: str = "add it") -> Any:
        """The field's value, of any type."""
        if field not in self.fields:
            raise DatasetError(f"{self.where}: field {field} is missing: {way_out}")
        return self.fields[field]

    def count(self, field: str, least: int = 0, way_out: str = "add it") -> int:
        """A number of tokens."""
        value = self.value(field, way_out)
        if type(value) is not int or not least <= value < MAX_TOKENS:
            raise self.wrong(field, value, f"a whole number from {least} below {MAX_TOKENS:,}")
        return value

    def seconds(self, field: str) -> float:
        """A time or a duration in seconds, not negative."""
        value = self.number(field)
        if value < 0:
            raise self.wrong(field, value, "a number of seconds from 0")
        return value

    def number(self, field: str) -> float:
        """A finite number."""
        value = self.value(field)
        try:
            finite = type(value) in (int, float) and math.isfinite(value)
        except OverflowError:
            finite = False
        if not finite:
            raise self.wrong(field, value, "a finite number")
        return float(value)

    def text(self, field: str, blank: bool = True, way_out: str = "add it") -> str:
        """A text. It must not be blank unless `blank` is true."""
        value = self.value(field, way_out)
        if not isinstance(value, str):
            raise self.wrong(field, value, "text")
        if not is_unicode(value):
            raise DatasetError(f"{self.where}: field {field} holds half of a surrogate pair: write valid Unicode")
        if not blank and not value.strip():
            raise DatasetError(f"{self.where}: field {field} is blank: give it a value")
        return value

    def array(self, field: str, way_out: str = "add it") -> list[Any]:
        """An array."""
        value = self.value(field, way_out)
        if not isinstance(value, list):
            raise self.wrong(field, value, "an array")
        return value

    def wrong(self, field: str, value: object, rule: str) -> DatasetError:
        """The error for a field with a wrong value; `rule` says what it must be."""
        return DatasetError(f"{self.where}: field {field} is {described(value)}, not {rule}: correct it")
