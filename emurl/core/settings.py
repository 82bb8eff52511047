"""What every settings class is made of: immutable, checked, and a fingerprint of the values that decide a result."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from emurl.core.errors import InputError
from emurl.core.files import at_home

LARGEST = 2**63 - 1  # what torch and NumPy still take as a number of 64 bits


def _of_64_bits(number: int) -> int:
    if number > LARGEST:
        raise ValueError("expected a number below 2^63")
    return number


Positive = Annotated[int, Field(gt=0), AfterValidator(_of_64_bits)]
Natural = Annotated[int, Field(ge=0), AfterValidator(_of_64_bits)]
Rate = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]

NOT_IN_FINGERPRINT: dict[str, Any] = {"fingerprint": False}  # where and how fast, never what comes out


def _path_text(path: str) -> str:
    try:
        home = str(at_home(path))
    except InputError as error:  # pydantic names the key only of a ValueError
        raise ValueError(str(error)) from None
    return home if path.startswith("~") else path


PathText = Annotated[str, AfterValidator(_path_text)]
"""A path as people write it: `~` is their home."""

_DEVICE = re.compile(r"auto|(cpu|cuda|mps)(:[0-9]{1,3})?")


def _device(name: str) -> str:
    if _DEVICE.fullmatch(name) is None:
        raise ValueError("expected auto, cpu, cuda, cuda:N or mps")
    return name


Device = Annotated[str, AfterValidator(_device), Field(json_schema_extra=NOT_IN_FINGERPRINT)]  # auto | cpu | cuda | cuda:N | mps


def section_of(annotation: Any) -> type[Settings] | None:
    """The settings class that a field of this annotation holds, also in `X | None`; None for a plain value."""
    options = [annotation, *get_args(annotation)]
    return next((one for one in options if isinstance(one, type) and issubclass(one, Settings)), None)


class Settings(BaseModel):
    """Base of every settings class: immutable, no unknown keys, no silent conversion of types.

    `renamed` maps keys of the version before to their new names: they are still read, with a warning.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=(), allow_inf_nan=False)
    renamed: ClassVar[dict[str, str]] = {}

    def fingerprint_values(self) -> dict[str, Any]:
        """The values that decide the result, as JSON-ready data."""
        values = {}
        for name, field in type(self).model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict) and extra.get("fingerprint") is False:
                continue
            value = getattr(self, name)
            values[name] = value.fingerprint_values() if isinstance(value, Settings) else value
        return values

    def files(self) -> dict[str, Path]:
        """Files these settings point to and whose content decides the result, by the key that names them."""
        found: dict[str, Path] = {}
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Settings):
                found |= {f"{name}.{key}": path for key, path in value.files().items()}
        return found

    def settled(self, inputs: Mapping[str, Any]) -> Self:
        """These settings with what they leave to the stage's inputs written out: what is run, recorded and fingerprinted.

        Raises:
            InputError: they say otherwise than an input.
        """
        return self

    def modules(self) -> tuple[str, ...]:
        """Modules that are chosen by a setting, so that no import shows that their code decides the result."""
        found: set[str] = set()
        for name in type(self).model_fields:
            value = getattr(self, name)
            if isinstance(value, Settings):
                found |= set(value.modules())
        return tuple(sorted(found))
