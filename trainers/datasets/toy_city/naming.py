"""How `--data` names a toy city: toy-city, or with settings, toy-city:train_images=1000,night=1,users=5-20."""

from __future__ import annotations

import json
from typing import Any

import yaml
from pydantic import ValidationError

from trainers.datasets.toy_city import TOY_CITY
from trainers.datasets.toy_city.scenes import ToyCity
from trainers.errors import UserError


def name_of(city: ToyCity) -> str:
    """The source that names `city`: `toy-city {...}`, with what is not as usual as JSON."""
    return f"{TOY_CITY} {json.dumps(city.model_dump(mode='json', exclude_defaults=True))}"


def parse_city(source: str | None) -> ToyCity:
    """The city that `source` names. Raises UserError when it is none.

    A value with a hyphen is a range, 5-20; one with a plus a list, vehicle+cyclist. Settings are ToyCity's fields.
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
        raise UserError(f"{source}: {error}; write toy-city:night=1,users=5-20") from None


def _written_out(text: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for setting in filter(None, text.split(",")):
        name, equals, value = setting.partition("=")
        if not equals:
            raise ValueError(f"'{setting}' is no setting")
        if "-" in value.strip("-"):
            fields[name] = [yaml.safe_load(each) for each in value.split("-", 1)]
        elif "+" in value or name in ("classes", "blurs"):
            fields[name] = [yaml.safe_load(each) for each in value.split("+")]
        else:
            fields[name] = yaml.safe_load(value)
    return fields
