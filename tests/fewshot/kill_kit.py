"""Teaches one life after another, each to be killed: python kill_kit.py BUNDLE

Every line on stdin begins a life in a process of its own, which prints its process id, then the id of each
photo once it is kept and each version once it is in use, and never ends by itself; once it was killed, "dead"
is printed. One interpreter starts them all, so that a life costs no imports.
"""

import os
import sys
from pathlib import Path

from edgecam_training.fewshot.lesson import Ways
from edgecam_training.fewshot.teacher import open_teacher
from fewshot.teach_kit import COLOURS, photo


def teach_for_ever(bundle: Path, life: int) -> None:
    with open_teacher(bundle) as teacher:
        print(os.getpid(), flush=True)
        for number in range(10_000):
            label = list(COLOURS)[number % 3]
            # Some photos were kept in the life before.
            added = teacher.add(photo(label, 9 * life + number), label, source="kit")
            print(added.example.id, flush=True)
            if number % 6 == 5:
                print("version", teacher.fit(Ways(method="ncm", alone=True)).taught.version, flush=True)


def main() -> None:
    for life, _ in enumerate(sys.stdin):
        child = os.fork()
        if child == 0:
            teach_for_ever(Path(sys.argv[1]), life)
        os.waitpid(child, 0)
        print("dead", flush=True)


if __name__ == "__main__":
    main()
