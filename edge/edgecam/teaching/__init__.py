"""Teaching a class head while the loop runs: what is held, in which thread it is learned, what answers then.

page -> web -> Desk (thread, bounded queue) -> Tutor -> a new version -> HeadChoice -> the loop reloads

How photos are learned from is behind `Tutor`: the runtime does not know the trainer.
"""
