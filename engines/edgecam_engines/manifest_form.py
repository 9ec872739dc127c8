"""The types and ranges that a manifest's entries must have; their meaning is bundle.py's."""

from collections.abc import Callable, Mapping
from typing import Any, Final

_MOST_PIXELS: Final = 16_384  # of a side
_MOST_CLASSES: Final = 1_000_000


def check_form(document: Mapping[str, Any]) -> None:
    """Raises ValueError that names the entry whose type or size no code of ours could have written.

    Entries that are not known here are left to whoever knows them.
    """
    for key, (fits, wanted) in _FORMS.items():
        if key in document and not fits(document[key]):
            raise ValueError(f"its {key} is not {wanted}")
    if document["head"] not in document["heads"]:
        raise ValueError(f"its head {document['head']!r} is none of its heads")
    if "fp32" not in document["models"]:
        raise ValueError("it has no fp32 model")


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _names(value: Any) -> bool:
    return isinstance(value, list) and 2 <= len(value) <= _MOST_CLASSES and all(map(_text, value))


def _sizes(count: int) -> Callable[[Any], bool]:
    def fits(value: Any) -> bool:
        return (
            isinstance(value, list)
            and len(value) == count
            and all(type(side) is int and 1 <= side <= _MOST_PIXELS for side in value)
        )

    return fits


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_text, value.values()))


def _engine(value: Any) -> bool:
    return _texts(value) and {"backend", "precision", "model"} <= value.keys()


def _files(value: Any) -> bool:
    return isinstance(value, dict) and all(
        isinstance(entry, dict)
        and entry.keys() == {"sha256", "bytes"}
        and _text(entry["sha256"])
        and type(entry["bytes"]) is int
        and entry["bytes"] >= 0
        for entry in value.values()
    )


def _object(value: Any) -> bool:
    return isinstance(value, dict)


_FORMS: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    **dict.fromkeys(("name", "created", "edgecam", "head"), (_text, "text")),
    **dict.fromkeys(("models", "heads", "geometry", "provenance"), (_texts, "an object of texts")),
    **dict.fromkeys(("gate", "calibration"), (_object, "an object")),
    "classes": (_names, "a list of two names or more"),
    "input_hw": (_sizes(2), "a height and a width in pixels"),
    "feature_dhw": (_sizes(3), "channels, rows and columns"),
    "engine": (_engine, "a back end, a precision and a model"),
    "files": (_files, "an object of SHA-256 and bytes by name"),
}
