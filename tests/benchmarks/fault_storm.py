"""A thousand random faults against two cameras of the real loop: what breaks, and how soon all is back.

    python tests/benchmarks/fault_storm.py [--faults 1000] [--seed 0]

Readers are killed, frozen for good, and paused; cameras vanish and return; the time of day that the program
sees is set, by less than a second up to a year; one fault in four comes before the last one is over. Frame
sizes change all the while. Each frame carries its number and the time at which it was made, so one that is
stale, torn or delivered twice ends the run; so does an event that begins or ends twice or lasts longer than
the world, and an alarm that forgets what lies in its window. Afterwards every segment can be played.

Recovery is the time until *every* camera gave a new frame: after a kill, after the return of a camera, and
for a frozen reader after it was given up (0.8 s here, 5 s in the loop of every day). One that is frozen
while it opens its camera is given up later (3 s here; 8 s there for a camera of the machine itself, 20 s
for others), since opening may take long: that is what the longest times are.
"""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from table import show

sys.path.insert(0, str(Path(__file__).parents[1]))
from edge.recorder_kit import segments  # the tests' own kit
from edgecam.recorder.boxes import content_of
from faults.storm import KINDS, Storm
from faults.witness import open_files, readers


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--faults", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    os.environ.pop("DISPLAY", None)
    began, files = time.monotonic(), open_files()
    with tempfile.TemporaryDirectory() as folder:
        storm = Storm(Path(folder), asked.faults, asked.seed)
        storm.run()
        recorded = [content_of(path).frames for path in segments(storm.recordings)]
    recovery = {kind: np.array(storm.recovery_s[kind]) for kind in KINDS if storm.recovery_s[kind]}
    quantiles = {kind: np.percentile(seconds, [50, 99, 100]) for kind, seconds in recovery.items()}
    lost = {camera: storm.witness.last(camera).lost for camera in storm.witness.frames}
    show(
        f"{storm.sent} faults in {time.monotonic() - began:.0f} s, "
        f"{sum(storm.witness.frames.values())} frames, all fresh, whole and counted; "
        f"cameras lost {sum(lost.values())} times; "
        f"{storm.witness.lives} events begun and ended, {storm.witness.fired} alarms, none over; "
        f"{sum(recorded)} frames in {len(recorded)} segments, {storm.unrecorded} not recorded; "
        f"left behind: {len(readers())} processes, {open_files() - files} descriptors",
        ("fault", "awaited", "recovery s: median", "p99", "longest"),
        [
            (kind, len(recovery[kind]), *(f"{value:.2f}" for value in values))
            for kind, values in quantiles.items()
        ],
        {
            "benchmark": "fault_storm",
            "faults": storm.sent,
            "frames": sum(storm.witness.frames.values()),
            "lost": lost,
            "events": storm.witness.lives,
            "alarms": storm.witness.fired,
            "segments": len(recorded),
            "recorded": sum(recorded),
            "unrecorded": storm.unrecorded,
            "recovery_p99_s": {kind: round(float(values[1]), 3) for kind, values in quantiles.items()},
            "recovery_longest_s": {kind: round(float(values[2]), 3) for kind, values in quantiles.items()},
        },
    )


if __name__ == "__main__":
    main()
