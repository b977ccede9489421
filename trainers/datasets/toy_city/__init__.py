"""Generated street scenes: the data of whoever has none. The rest of the package is imported when one is asked for."""

TOY_CITY = "toy-city"


def is_toy_city(source: str) -> bool:
    """Whether `source` names a toy city."""
    return source == TOY_CITY or source.startswith((f"{TOY_CITY}:", f"{TOY_CITY} "))
