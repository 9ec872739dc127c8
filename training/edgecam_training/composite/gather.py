"""What the pictures are made of: from Debian's packages, from the user's own folders, or one of each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from edgecam_engines.console import log, track
from edgecam_engines.errors import DataError
from edgecam_engines.photo import BadPhoto, is_photo
from edgecam_training.composite import backgrounds as wallpapers
from edgecam_training.composite import kin, stamps
from edgecam_training.composite.backgrounds import Background, read_background
from edgecam_training.composite.cutouts import Cutout, read_cutout
from edgecam_training.composite.packages import Fetched, Package, fetch
from edgecam_training.composite.splits import MIN_GROUPS
from edgecam_training.composite.tables import check_class
from edgecam_training.composite.terms import Levels, refuse, thumbnail

Thing = TypeVar("Thing", Cutout, Background)
Entry = TypeVar("Entry")

FEWEST: Final = 2  # classes
_NO_CLASS: Final = ""  # what neutral things stand under


class Listed(NamedTuple):
    """A file that is to be read, and what lists call it."""

    path: Path
    name: str


class Source(NamedTuple):
    """Where pictures came from, for about.json."""

    what: str  # "cut-outs" or "backgrounds"
    name: str  # a Debian package, or "own"
    version: str
    licence: str


@dataclass(frozen=True)
class Material:
    """Cut-outs and backgrounds, in groups that must stay in one part of the data set."""

    classes: dict[str, list[list[Cutout]]]  # alphabetical
    neutral: list[list[Cutout]]  # may be empty
    backgrounds: list[list[Background]]
    sources: list[Source]


def gather(
    cutouts: Path | None, backgrounds: Path | None, *, classes: int | None, size: int, cache: Path
) -> Material:
    """Read all of it; None stands for Debian's packages. `classes` None takes all there are.

    Raises DataError: what cannot be had or read (by file name), and what is too little.
    """
    sources: list[Source] = []
    things = _of_packages_or(cutouts, classes, cache, sources)
    neutral = things.pop(_NO_CLASS, [])
    behind = _own_backgrounds(backgrounds, sources) if backgrounds else _wallpapers(cache, sources)
    named = [(name, one) for name, files in (*things.items(), (_NO_CLASS, neutral)) for one in files]
    read = _read([one for _, one in named], lambda path, name: read_cutout(path, name, size), "cut-outs")
    grounds = _read(behind, lambda path, name: read_background(path, name, size), "backgrounds")
    grouped = _by_class([name for name, _ in named], read, () if cutouts else stamps.KIN)
    ground_groups = _grouped(grounds, [thumbnail(ground.frame) for ground in grounds], ())
    spare = grouped.pop(_NO_CLASS, [])
    _refuse_few({f"class {name}": groups for name, groups in grouped.items()}, "cut-outs")
    _refuse_few({"backgrounds": ground_groups}, "photos")
    return Material(grouped, spare if len(spare) >= MIN_GROUPS else [], ground_groups, sources)


def _of_packages_or(
    own: Path | None, classes: int | None, cache: Path, sources: list[Source]
) -> dict[str, list[Listed]]:
    """Files by class, alphabetical, those of no class under _NO_CLASS."""
    if own is not None:
        sources.append(Source("cut-outs", "own", "", "yours to know"))
        return _most(_own_cutouts(own), classes)
    wanted = _most(stamps.CHOSEN, classes)  # says what is wrong before 160 MB are fetched
    fetched = _fetched(stamps.PACKAGE, "cut-outs", cache, sources)
    listed = {name: _present(fetched, stamps.PACKAGE, names, ".png") for name, names in wanted.items()}
    return {**listed, _NO_CLASS: _present(fetched, stamps.PACKAGE, stamps.NEUTRAL, ".png")}


def _most(listed: Mapping[str, Sequence[Entry]], classes: int | None) -> dict[str, list[Entry]]:
    """The classes with most cut-outs, in alphabetical order. Raises DataError when there are not as many."""
    if classes is not None and classes > len(listed):
        raise DataError(
            f"--classes {classes} is more than the {len(listed)} that there are cut-outs of: "
            f"{', '.join(sorted(listed))}.\n"
            f"Ask for {len(listed)} or fewer, or give a folder with more: --cutouts DIR (DIR/CLASS/*.png)"
        )
    best = sorted(listed, key=lambda name: (-len(listed[name]), name))[:classes]
    return {name: list(listed[name]) for name in sorted(best)}


def _own_cutouts(folder: Path) -> dict[str, list[Listed]]:
    """FOLDER/CLASS/*, hidden files passed over."""
    if not folder.is_dir():
        raise DataError(f"--cutouts {folder} is not a folder.\nLay cut-outs out as {folder.name}/CLASS/*.png")
    places = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    if len(places) < FEWEST:
        raise DataError(
            f"{folder} holds {len(places)} class folder(s); at least {FEWEST} are needed to tell apart.\n"
            f"Lay cut-outs out as {folder.name}/CLASS/*.png"
        )
    for place in places:
        check_class(place.name, place)
    return {place.name: _photos(place, place.name) for place in places}


def _own_backgrounds(folder: Path, sources: list[Source]) -> list[Listed]:
    if not folder.is_dir():
        raise DataError(f"--backgrounds {folder} is not a folder.\nGive one that holds photos.")
    sources.append(Source("backgrounds", "own", "", "yours to know"))
    return _photos(folder, "own")


def _photos(folder: Path, prefix: str) -> list[Listed]:
    found = sorted(path for path in folder.rglob("*") if path.is_file() and is_photo(path))
    return [Listed(path, f"{prefix}/{path.relative_to(folder).as_posix()}") for path in found]


def _wallpapers(cache: Path, sources: list[Source]) -> list[Listed]:
    listed = []
    for package, names in wallpapers.CHOSEN.items():
        fetched = _fetched(package, "backgrounds", cache, sources)
        found = _present(fetched, package, names, "")
        listed += [Listed(path, f"{package.name}/{name}") for path, name in found]
    return listed


def _fetched(package: Package, what: str, cache: Path, sources: list[Source]) -> Fetched:
    log.print(f"{what}: Debian's {package.name}, {package.licence}, by {package.holders}.", markup=False)
    fetched = fetch(package, cache)
    sources.append(Source(what, package.name, fetched.version, package.licence))
    return fetched


def _present(fetched: Fetched, package: Package, names: Iterable[str], suffix: str) -> list[Listed]:
    """Those that this release of the package has; the others are told of."""
    listed = [Listed(fetched.pictures / f"{name}{suffix}", name) for name in sorted(names)]
    missing = [name for path, name in listed if not path.is_file()]
    if missing:
        log.print(f"{package.name} {fetched.version} is without {', '.join(missing)}.", markup=False)
    return [one for one in listed if one.path.is_file()]


def _read(listed: Sequence[Listed], reader: Callable[[Path, str], Thing], what: str) -> list[Thing]:
    """All of them, or a DataError that names every one that cannot be used."""
    bad: list[BadPhoto] = []
    found: list[Thing] = []
    for path, name in track(listed, f"Reading {what}"):
        try:
            found.append(reader(path, name))
        except BadPhoto as one:
            bad.append(one)
    refuse(bad, what)
    return found


def _by_class(
    names: Sequence[str], cutouts: Sequence[Cutout], declared: Iterable[Sequence[str]]
) -> dict[str, list[list[Cutout]]]:
    """Groups of kin by class. Raises DataError when one thing stands under two."""
    grouped: dict[str, list[list[Cutout]]] = {name: [] for name in dict.fromkeys(names)}
    numbers = {id(cutout): k for k, cutout in enumerate(cutouts)}
    for group in _grouped(cutouts, [thumbnail(cutout.bgra) for cutout in cutouts], declared):
        own = {names[numbers[id(cutout)]] for cutout in group}
        if len(own) > 1:
            raise DataError(
                f"The same picture stands under {' and '.join(sorted(own))}: "
                f"{', '.join(cutout.name for cutout in group)}.\nKeep it in one of them."
            )
        grouped[own.pop()].append(group)
    return grouped


def _grouped(
    things: Sequence[Thing], thumbnails: Sequence[Levels], declared: Iterable[Sequence[str]]
) -> list[list[Thing]]:
    groups = kin.groups([thing.name for thing in things], thumbnails, declared)
    return [[things[k] for k in group] for group in groups]


def _refuse_few(groups: Mapping[str, Sequence[Sequence[object]]], what: str) -> None:
    few = [
        f"{name} ({sum(map(len, found))} {what}, {len(found)} of them different)"
        for name, found in groups.items()
        if len(found) < MIN_GROUPS
    ]
    if few:
        raise DataError(
            f"Too few for three parts that share nothing (training, validation, test): {', '.join(few)}.\n"
            f"At least {MIN_GROUPS} are needed; copies and mirrored copies count as one. Add some."
        )
