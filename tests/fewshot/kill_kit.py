"""Teaches for ever, to be killed: python kill_kit.py BUNDLE. Prints the id of each photo once it is kept."""

import sys
from pathlib import Path

from edgecam_training.fewshot.lesson import Ways
from edgecam_training.fewshot.teacher import open_teacher
from fewshot.teach_kit import COLOURS, photo


def main() -> None:
    with open_teacher(Path(sys.argv[1])) as teacher:
        print("ready", flush=True)
        for number in range(10_000):
            label = list(COLOURS)[number % 3]
            added = teacher.add(photo(label, number), label, source="kit")
            print(added.example.id, flush=True)
            if number % 6 == 5:
                print("version", teacher.fit(Ways(method="ncm", alone=True)).taught.version, flush=True)


if __name__ == "__main__":
    main()
