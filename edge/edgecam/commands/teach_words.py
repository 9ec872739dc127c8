"""What a taught head must say of itself, in sentences; the page and the terminal print the same."""

from edgecam_calibration.intervals import Estimate
from edgecam_training.fewshot.lesson import Lesson


def sentences(lesson: Lesson) -> list[str]:
    """Each a line."""
    return [*_right(lesson), *_unknown(lesson), *_forgotten(lesson), *_lacks(lesson)]


def _right(lesson: Lesson) -> list[str]:
    figures, learned = lesson.figures, lesson.fitted.choice.learned
    how = f"{learned.method}{f' ({learned.setting})' if learned.setting else ''}"
    if figures.right is None:
        return [f"Fitted by {how}. How often it is right is unknown: every class has one photo alone."]
    tried = lesson.fitted.choice.accuracy
    beside = ", ".join(f"{name} {share:.1%}" for name, share in tried.items() if name != learned.method)
    lines = [
        f"Left out, {_share(figures.right)} of the photos are named rightly; fitted by {how}"
        + (f" (others: {beside})." if beside else ".")
    ]
    if not lesson.fitted.head.exact_maps:
        lines.append("This head is not linear: its maps show the class means, not what it remembers.")
    return lines


def _unknown(lesson: Lesson) -> list[str]:
    found = lesson.fitted.rejecting
    if found is None:
        return ["Unknown things are not told: that takes three new classes and 20 photos."]
    what = f"{_share(found.caught)} of the photos of a class that was left out"
    if found.rejection is None:
        return [f"Unknown things are not told: at best {what} would be caught, no better than chance."]
    return [
        f"Unknown things are told: {what} are, and about {found.max_false_reject:.0%} of known ones are "
        f"taken for unknown."
    ]


def _forgotten(lesson: Lesson) -> list[str]:
    found = lesson.figures.forgotten
    if found is None:
        return []
    lost = round(found.value * found.n)
    return [f"Of {found.n} known photos of the bundle's own classes {lost} are called otherwise now."]


def _lacks(lesson: Lesson) -> list[str]:
    figures, classes = lesson.figures, lesson.taken.classes
    lines = []
    for need in figures.needs:
        wrong = f"{classes[need.label]}: wrong about {need.error:.0%}"
        if need.more is None:
            lines.append(
                f"{wrong}; ten times as many photos would not mend that: can it be told by its looks?"
            )
        else:
            lines.append(f"{wrong}; about {need.more} more photos of it are needed.")
    for each in figures.backgrounds:
        if each.warned:
            lines.append(
                f"{classes[each.label]}: the edge of its photos alone names {each.by_border:.0%} of them, so "
                f"it may be told by its background. Take some elsewhere."
            )
    for pull in figures.pulls:
        if pull.suspicious:
            label = classes[lesson.taken.labels[pull.photo]]
            lines.append(
                f"{lesson.ids[pull.photo][:8]}: taught as {label}, looks like {classes[pull.called]}, and "
                f"others are named better without it. Look at it on the page."
            )
    return lines


def _share(found: Estimate) -> str:
    return f"{found.value:.1%} ({found.low:.1%} to {found.high:.1%}, n {found.n})"
