"""Recording into a folder: segments that stay playable, pre-roll around events, a quota, a full disk.

The open segment is a fragmented MP4: what is needed to play a fragment stands in front of it, so whatever
kills the process, everything up to the last fragment can be played. OpenCV writes such files if they are
called `.ismv`, GStreamer's `mp4mux` if it is given a fragment's length. An open segment is called
`.part.ismv`; it becomes `.mp4` when it is closed, or when the next run finds it.
"""
