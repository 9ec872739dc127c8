"""A folder of masks: one PNG for each image, named and nested as the image is.

    photos/cat/001.jpg -> masks/cat/001.png     0 background, any other number object

With `ignore_255` a pixel of 255 counts neither way; without it 255 is an object, since most black-and-white
masks are 0 and 255.
"""

from pathlib import Path

from edgecam_calibration.truth.checks import Findings, Options, mask_size
from edgecam_calibration.truth.masks import NumberedPicture
from edgecam_calibration.truth.types import BadAnnotation, ImageTruth, Truth
from edgecam_engines.errors import DataError
from edgecam_engines.photo import is_photo


def read_mask_folder(path: Path, options: Options) -> Truth:
    """Every PNG below `path`, read when it is asked for; its size is taken for the image's.

    Raises DataError when there is none.
    """
    problems: list[BadAnnotation] = []
    images: dict[str, ImageTruth] = {}
    for file in sorted(path.rglob("*")):
        findings = Findings(file, problems)
        image_id = file.relative_to(path).with_suffix("").as_posix()
        if not is_photo(file) or not file.is_file():
            continue
        if file.suffix.lower() != ".png":
            findings.add("", "a mask is a PNG; other formats blur its edges or are rare")
        elif image_id in images:
            findings.add("", f"{image_id} has a mask already")
        elif (size := mask_size(file, None, "", findings)) is not None:
            images[image_id] = ImageTruth(
                image_id, size, masks=NumberedPicture(file, void=options.ignore_255)
            )
    if not images and not problems:
        raise DataError(f"{path} holds no mask.\nGive a folder of PNG files named as the photos: cat/001.png")
    return Truth("masks", images, options.classes, tuple(problems))
