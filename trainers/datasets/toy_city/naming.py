"""Converts between a toy city and its name for `--data`, such as toy-city:train_images=1000,night=1,users=5-20."""

from __future__ import annotations

import json
from typing import Any

import yaml
from pydantic import ValidationError

from trainers.datasets.toy_city import TOY_CITY
from trainers.datasets.toy_city.scenes import ToyCity
from trainers.errors import UserError


def name_of(city: ToyCity) -> str:
    """The name of `city`: `toy-city {...}`, with the settings that are not defaults as JSON."""
    return f"{TOY_CITY} {json.dumps(city.model_dump(mode='json', exclude_defaults=True))}"


def parse_city(source: str | None) -> ToyCity:
    """The city named `source`; the default city for None. Raises UserError if the name is invalid.

    Settings are the fields of ToyCity. A hyphen makes a range, 5-20; a plus makes a list, vehicle+cyclist.
    """
    settings = (source or "").removeprefix(TOY_CITY)
    try:
        fields = _written_out(settings[1:]) if settings.startswith(":") else json.loads(settings or "{}")
        return ToyCity.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        known = (
            f"; settings are {', '.join(ToyCity.model_fields)}" if first["type"] == "extra_forbidden" else ""
        )
        message = first["msg"].removeprefix("Value error, ")
        raise UserError(f"{source}: {f'{field}: ' if field else ''}{message}{known}") from None
    except ValueError as error:
        raise UserError(f"{source}: {error}; expected a form like toy-city:night=1,users=5-20") from None


def _written_out(text: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for setting in filter(None, text.split(",")):
        name, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"'{setting}' has no value")
        if "-" in value.strip("-"):
            fields[name] = [yaml.safe_load(each) for each in value.split("-", 1)]
        elif "+" in value or name in ("classes", "shares", "blurs"):
            fields[name] = [yaml.safe_load(each) for each in value.split("+")]
        else:
            fields[name] = yaml.safe_load(value)
    return fields
