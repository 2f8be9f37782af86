"""The files of an export that is a folder or a ZIP file: a list of paths, and bounded reading. Nothing is unpacked.

Only two levels count, `file` and `folder/file`, below the folder that holds `root`: some pack the folder with it. Links
are not followed, and a path that is not plain is not seen.
"""

from __future__ import annotations

import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from dchat_client.imports.said import UnfitSource

MAX_FILES = 500_000


class Tree:
    """The files below a folder or in a ZIP file. Use it as a context manager. Raises UnfitSource."""

    def __init__(self, path: Path, *, root: str) -> None:
        self.path = path
        self._root = root
        self._zip: zipfile.ZipFile | None = None
        self._sizes: dict[str, int] = {}
        self._prefix = ""

    def __enter__(self) -> Self:
        with ExitStack() as closing:
            try:
                if not self.path.is_dir():
                    self._zip = closing.enter_context(zipfile.ZipFile(self.path))
                self._list()
            except (OSError, zipfile.BadZipFile, NotImplementedError) as error:
                raise UnfitSource(f"{self.path} cannot be read: {getattr(error, 'strerror', None) or error}.") from None
            closing.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._zip is not None:
            self._zip.close()

    def files(self) -> Iterator[tuple[str, int]]:
        """Yield path and size in bytes of each file, as its owner says."""
        for name, size in self._sizes.items():
            if name.startswith(self._prefix):
                yield name.removeprefix(self._prefix), size

    def read(self, name: str, max_bytes: int) -> bytes:
        """Return a file's bytes; b"" when it is not there. Raises UnfitSource when it is larger, or damaged."""
        full = self._prefix + name
        if full not in self._sizes:
            return b""
        try:
            if self._zip is not None:
                with self._zip.open(full) as packed:
                    data = packed.read(max_bytes + 1)  # what the file says about its size is only what it says
            else:
                with open(self.path / full, "rb") as file:
                    data = file.read(max_bytes + 1)
        except (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error) as error:
            # RuntimeError: it wants a password, or is packed in a way Python does not know.
            raise UnfitSource(f"{name} in {self.path} cannot be read: {error}.") from None
        if len(data) > max_bytes:
            raise UnfitSource(f"{name} in {self.path} has more than {max_bytes >> 20} MiB.")
        return data

    def _list(self) -> None:
        for name, size in self._all():
            self._sizes[name] = size
            if len(self._sizes) > MAX_FILES:
                raise UnfitSource(f"{self.path} has more than {MAX_FILES} files.")
        roots = [name for name in self._sizes if name.rpartition("/")[2] == self._root and name.count("/") <= 1]
        if not roots:
            raise UnfitSource(f"{self.path} has no {self._root}.")
        self._prefix = min(roots, key=len).removesuffix(self._root)

    def _all(self) -> Iterator[tuple[str, int]]:
        if self._zip is not None:
            for info in self._zip.infolist():
                if not info.is_dir() and _is_plain(info.filename):
                    yield info.filename, info.file_size
        else:
            yield from _below(self.path, "", depth=3)


def _below(folder: Path, prefix: str, *, depth: int) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_file(follow_symlinks=False):
                yield prefix + entry.name, entry.stat(follow_symlinks=False).st_size
            elif depth > 1 and entry.is_dir(follow_symlinks=False):
                yield from _below(folder / entry.name, f"{prefix}{entry.name}/", depth=depth - 1)


def _is_plain(name: str) -> bool:
    parts = name.split("/")
    return len(parts) <= 3 and "\\" not in name and not any(part in ("", ".", "..") for part in parts)
