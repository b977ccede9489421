"""The toy city: generated street scenes, for trying the search without data of one's own.

Only this module is cheap to import; the others load OpenCV and pydantic.
"""

TOY_CITY = "toy-city"


def is_toy_city(source: str) -> bool:
    """Whether `source` names a toy city."""
    return source == TOY_CITY or source.startswith((f"{TOY_CITY}:", f"{TOY_CITY} "))
