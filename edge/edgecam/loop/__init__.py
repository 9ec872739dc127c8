"""What runs between cameras and outputs: which frames count, the engine's thread, the main thread's part.

Reader -> Lane (one a camera) -> answering (thread, one engine) -> Presenter (main thread) -> sinks
"""
