"""What runs between a camera and the outputs: which frames count, the engine's thread, and the main thread's part.

Reader -> Lane (one a camera) -> answering (thread, one engine) -> one slot -> Presenter (main thread) -> sinks
"""
