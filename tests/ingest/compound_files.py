"""Writes OLE compound files ([MS-CFB] version 3) for tests, since the library that reads them writes none."""

from __future__ import annotations

import struct
from typing import Any

_SECTOR, _SMALL_SECTOR, _CUTOFF = 512, 64, 4096
_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_STORAGE, _STREAM, _ROOT = 1, 2, 5

Tree = dict[str, Any]
"""Streams as bytes, storages as trees."""


def compound_file(tree: Tree) -> bytes:
    """One file with these storages and streams."""
    entries: list[list[Any]] = [["Root Entry", _ROOT, b"", _FREE, _FREE, _END]]
    _add(tree, 0, entries)
    small, small_fat = bytearray(), []
    for entry in entries:
        data = entry[2]
        if 0 < len(data) < _CUTOFF:
            entry[5] = len(small_fat)
            count = -(-len(data) // _SMALL_SECTOR)
            small_fat += [*range(entry[5] + 1, entry[5] + count), _END]
            small += data.ljust(count * _SMALL_SECTOR, b"\0")
    sectors: list[bytes] = []
    fat: list[int] = []

    def place(data: bytes) -> int:
        if not data:
            return _END
        first = len(sectors)
        for at in range(0, len(data), _SECTOR):
            sectors.append(data[at : at + _SECTOR].ljust(_SECTOR, b"\0"))
            fat.append(len(sectors))
        fat[-1] = _END
        return first

    entries[0][2], entries[0][5] = bytes(small), place(bytes(small))
    small_table = struct.pack(f"<{len(small_fat)}I", *small_fat)
    small_table = small_table.ljust(-(-len(small_table) // _SECTOR) * _SECTOR, b"\xff")
    first_small = place(small_table)
    directory = b""
    for name, kind, data, right, child, start in entries:
        encoded = name.encode("utf-16-le") + b"\0\0"
        start = place(data) if len(data) >= _CUTOFF and kind == _STREAM else start
        head = encoded.ljust(64, b"\0") + struct.pack("<HBB", len(encoded), kind, 1)
        directory += head + struct.pack("<III", _FREE, right, child) + bytes(36) + struct.pack("<IQ", start, len(data))
    first_directory = place(directory.ljust(-(-len(directory) // _SECTOR) * _SECTOR, b"\0"))
    tables = 1
    while (len(fat) + tables) * 4 > tables * _SECTOR:
        tables += 1
    first_fat = len(sectors)
    fat += [_FAT] * tables
    table = struct.pack(f"<{len(fat)}I", *fat).ljust(tables * _SECTOR, b"\xff")
    header = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(6)
    small_tables = len(small_table) // _SECTOR
    header += struct.pack("<9I", 0, tables, first_directory, 0, _CUTOFF, first_small, small_tables, _END, 0)
    header += struct.pack("<109I", *(first_fat + n if n < tables else _FREE for n in range(109)))
    return header + b"".join(sectors) + table


def _add(tree: Tree, parent: int, entries: list[list[Any]]) -> None:
    """Add a storage's children as a chain of right siblings, in the order that the format sorts names."""
    before = -1
    for name in sorted(tree, key=lambda name: (len(name), name.upper())):
        content = tree[name]
        is_stream = isinstance(content, bytes)
        entries.append([name, _STREAM if is_stream else _STORAGE, content if is_stream else b"", _FREE, _FREE, 0])
        number = len(entries) - 1
        if before < 0:
            entries[parent][4] = number
        else:
            entries[before][3] = number
        before = number
        if not is_stream:
            _add(content, number, entries)
