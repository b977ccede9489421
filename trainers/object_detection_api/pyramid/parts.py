"""The registry of one kind of part (backbones, necks, heads): each member is one module of that folder."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Generic, Protocol, TypeVar

from trainers.errors import UserError


class Part(Protocol):
    """What every part has."""

    @property
    def name(self) -> str:
        """The word for it in recipes."""


P = TypeVar("P", bound=Part)


class Parts(Mapping[str, P], Generic[P]):
    """The parts of one kind by name. kind: what they are called in messages. modules: those that register them."""

    def __init__(self, kind: str, modules: tuple[str, ...]) -> None:
        self.kind = kind
        self._modules = modules
        self._registered: dict[str, P] = {}

    def register(self, part: P) -> P:
        """Register `part` under its name, and return it. Raises UserError if another part has that name."""
        known = self._registered.get(part.name)
        if known is not None and known != part:
            raise UserError(f"two {self.kind}s are called '{part.name}'; rename one of them")
        self._registered[part.name] = part
        return part

    def __getitem__(self, name: str) -> P:
        self._load()
        if name not in self._registered:
            raise UserError(f"unknown {self.kind} '{name}'; known are {', '.join(self._registered)}")
        return self._registered[name]

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._registered

    def __iter__(self) -> Iterator[str]:
        self._load()
        return iter(self._registered)

    def __len__(self) -> int:
        self._load()
        return len(self._registered)

    def _load(self) -> None:
        for module in self._modules:
            importlib.import_module(module)
