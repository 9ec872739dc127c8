"""A self-contained HTML report: headings, text, tables and pictures in one file."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edgecam_engines.files import write_atomically

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { padding: .3rem .8rem; border-bottom: 1px solid #8886; text-align: left; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
img { max-width: 100%; height: auto; background: #fff; border-radius: 6px; }
figure { margin: 1.5rem 0; } figcaption, .note { opacity: .75; }
""".strip()


class Report:
    """Add parts in reading order, then save. Every text is escaped."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._parts: list[str] = [f"<h1>{html.escape(title)}</h1>"]

    def heading(self, text: str) -> None:
        self._parts.append(f"<h2>{html.escape(text)}</h2>")

    def text(self, text: str) -> None:
        self._parts.append(f"<p>{html.escape(text)}</p>")

    def table(self, header: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Cells that are numbers already formatted as text are set right."""
        head = "".join(f"<th>{html.escape(name)}</th>" for name in header)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
        self._parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")

    def picture(self, file: Path, caption: str) -> None:
        """A PNG or JPEG, embedded."""
        kind = "png" if file.suffix == ".png" else "jpeg"
        data = base64.b64encode(file.read_bytes()).decode()
        self._parts.append(
            f'<figure><img alt="{html.escape(caption, quote=True)}" src="data:image/{kind};base64,{data}">'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )

    def save(self, path: Path) -> None:
        write_atomically(
            path,
            f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f'<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{html.escape(self._title)}</title><style>{_STYLE}</style></head>"
            f"<body>{''.join(self._parts)}</body></html>\n",
        )


def _cell(value: object) -> str:
    text = str(value)
    number = text[:1].isdigit() or text[:2] in {"-0", "-1"}
    return f'<td class="number">{html.escape(text)}</td>' if number else f"<td>{html.escape(text)}</td>"
