"""A shared library written byte by byte, whose functions all return 0.

NVIDIA's Python bindings can only be imported where the libraries are found that they link to. For reading
what the bindings offer, libraries that define the names are enough, and no compiler is needed to make them.
"""

import platform
import struct
from pathlib import Path
from typing import Final

_PAGE: Final = 0x10000  # largest page of the two
_RETURN_ZERO: Final = {
    "x86_64": (62, bytes.fromhex("31c0c3")),  # xor eax, eax; ret
    "aarch64": (183, bytes.fromhex("00008052c0035fd6")),  # mov w0, #0; ret
}
_HEADER: Final = 64  # bytes of ELF's own header; 56 of each program header


def write_library(path: Path, functions: tuple[str, ...]) -> None:
    """An ELF file for this processor, named as its file, that defines `functions`.

    Source: System V ABI, "Object Files" and "Dynamic Linking".
    """
    machine, code = _RETURN_ZERO[platform.machine()]
    strings = b"\0" + b"\0".join(name.encode() for name in (path.name, *functions)) + b"\0"
    count = 1 + len(functions)  # the first symbol is none
    # One bucket whose chain goes through every symbol: no hash needs computing.
    table = struct.pack(f"<4I{count - 1}I", 1, count, 1, 0, *range(2, count), 0)
    at_symbols = _HEADER + 4 * 56
    at_table = at_symbols + 24 * count
    at_strings = at_table + len(table) + len(table) % 8
    at_code = (at_strings + len(strings) + 15) // 16 * 16
    symbols = bytes(24) + b"".join(
        struct.pack(
            "<IBBHQQ", strings.index(b"\0" + name.encode() + b"\0") + 1, 0x12, 0, 1, at_code, len(code)
        )
        for name in functions
    )
    first = bytearray(at_code + len(code))
    dynamic = struct.pack(
        "<14Q",
        *(14, 1),  # DT_SONAME, the first string
        *(4, at_table),  # DT_HASH
        *(5, at_strings),  # DT_STRTAB
        *(6, at_symbols),  # DT_SYMTAB
        *(10, len(strings)),  # DT_STRSZ
        *(11, 24),  # DT_SYMENT
        *(0, 0),
    )
    segments = (
        (1, 5, 0, len(first), _PAGE),  # what is read and run
        (1, 6, _PAGE, len(dynamic), _PAGE),  # what the loader writes into
        (2, 6, _PAGE, len(dynamic), 8),  # where it finds its table
        (0x6474E551, 6, 0, 0, 16),  # a stack that does not run code
    )
    first[:_HEADER] = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01\x01", 3, machine, 1, 0, _HEADER, 0, 0, _HEADER, 56, len(segments), 64, 0, 0),
    )
    for i, (kind, flags, at, size, align) in enumerate(segments):
        header = struct.pack("<IIQQQQQQ", kind, flags, at, at, at, size, size, align)
        first[_HEADER + 56 * i : _HEADER + 56 * (i + 1)] = header
    for at, part in ((at_symbols, symbols), (at_table, table), (at_strings, strings), (at_code, code)):
        first[at : at + len(part)] = part
    path.write_bytes(bytes(first).ljust(_PAGE, b"\0") + dynamic)
