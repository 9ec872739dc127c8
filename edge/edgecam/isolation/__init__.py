"""Live sources read in a process of their own, so that a driver that hangs or crashes can be replaced.

    reader process (child)                             our process
    open, grab, decode --copy--> slot of a memfd ====> numpy array on the same memory
            `---- "slot 2 holds frame 17" ---->        thread of ProcessReader -> newest -> engine
            <---- "slot 2 is free again" -----'        when the last reference to the array is gone

Who owns a slot is settled by the messages alone, so no frame is written while it is read, on any
processor. A memfd has no name: whatever dies, and however, nothing stays behind.
"""
