"""Streams a JSON file in constant memory: the items of its outermost list, or of the lists in its outermost object."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from trainers.datasets.files.paths import encoding_of

_CHUNK = 1 << 20  # characters
_LARGEST_ITEM = 1 << 26  # characters; the labels of one image are never as long
_BLANK = " \t\n\r"
_AFTER = (*_BLANK, ",", ":", "]", "}")  # what may follow a value
_TO_ANOTHER = re.compile(r"[ \t\n\r]*,[ \t\n\r]*(?=[^ \t\n\r\]])")  # from an item of a list to the next
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class BadJson(Exception):
    """The file is not valid JSON; the message says where."""


class Item(NamedTuple):
    """One item.

    key: the key of its list in the outermost object; None if the outermost value is a list.
    value: the item; for a key whose value is not a list, that value.
    line: the line where it begins, from 1.
    """

    key: str | None
    value: Any
    line: int


def items(path: Path) -> Iterator[Item]:
    """The items one by one. Raises BadJson, or OSError if the file cannot be read."""
    with path.open(encoding=encoding_of(path)) as file:
        text = _Text(file)
        try:
            first = text.peek()
            if first == "[":
                yield from _listed(text, None)
            elif first == "{":
                text.skip("{")
                while text.peek() != "}":
                    key, _ = text.value()
                    text.skip(":")
                    if text.peek() == "[":
                        yield from _listed(text, str(key))
                    else:
                        yield Item(str(key), *text.value())
                    if text.peek() != "}":
                        text.skip(",")
            else:
                raise BadJson("does not begin with { or [")
        except UnicodeDecodeError:
            raise BadJson(f"line {text.line}: not UTF-8") from None
        except RecursionError:
            raise BadJson(f"line {text.line}: nested too deeply") from None


def _listed(text: _Text, key: str | None) -> Iterator[Item]:
    text.skip("[")
    while text.peek() != "]":
        for value, line in text.values_before_others():
            yield Item(key, value, line)
        yield Item(key, *text.value())
        if text.peek() != "]":
            text.skip(",")
    text.skip("]")


class _Text:
    """A window on the file: the text that was read and not yet consumed."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._window = ""
        self._at = 0
        self._decoder = json.JSONDecoder()
        self._surrogates = False  # whether there are any in the window
        self.line = 1

    def _more(self) -> bool:
        chunk = self._file.read(max(_CHUNK, len(self._window) - self._at))
        self._window = self._window[self._at :] + chunk
        self._at = 0
        self._surrogates = _SURROGATE.search(self._window) is not None
        return bool(chunk)

    def _move(self, to: int) -> None:
        self.line += self._window.count("\n", self._at, to)
        self._at = to

    def peek(self) -> str:
        """The next character that is not white space; it is not consumed."""
        if self._at < len(self._window) and self._window[self._at] not in _BLANK:
            return self._window[self._at]
        while True:
            at = self._at
            while at < len(self._window) and self._window[at] in _BLANK:
                at += 1
            self._move(at)
            if at < len(self._window):
                return self._window[at]
            if not self._more():
                raise BadJson(f"line {self.line}: unexpected end of file")

    def skip(self, expected: str) -> None:
        """Consume one character, which must be `expected`."""
        found = self.peek()
        if found != expected:
            raise BadJson(f"line {self.line}: expected {expected!r}, got {found!r}")
        self._move(self._at + 1)

    def values_before_others(self) -> Iterator[tuple[Any, int]]:
        """Consume the next values of a list as far as another one follows each in the window; as `value` gives them.

        A fast path for nearly all: what is not as expected here is left to `value`.
        """
        if self._surrogates:
            return
        window, at, line = self._window, self._at, self.line
        decode, to_another, count = self._decoder.raw_decode, _TO_ANOTHER.match, self._window.count
        try:
            while True:
                value, end = decode(window, at)
                comma = to_another(window, end)
                if comma is None:
                    return
                yield value, line
                line += count("\n", at, comma.end())
                at = comma.end()
        except ValueError:
            return
        finally:
            self._at, self.line = at, line

    def value(self) -> tuple[Any, int]:
        """Consume the next value; returns it and the line where it begins."""
        self.peek()
        line = self.line
        while True:
            try:
                value, end = self._decoder.raw_decode(self._window, self._at)
                if self._window[end : end + 1] in _AFTER:  # else a number may continue beyond the window
                    if self._surrogates and not _is_text(value):
                        raise BadJson(f"line {line}: unpaired UTF-16 surrogate")
                    self._move(end)
                    return value, line
                problem = (
                    f"line {line}: unexpected end of file, or unexpected {self._window[end : end + 1]!r}"
                )
            except json.JSONDecodeError as error:
                problem = f"line {line + error.doc.count(chr(10), self._at, error.pos)}: {error.msg}"
            except ValueError as error:  # a number with thousands of digits
                problem = f"line {line}: {error}"
            if len(self._window) - self._at > _LARGEST_ITEM or not self._more():
                raise BadJson(problem)


def _is_text(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
