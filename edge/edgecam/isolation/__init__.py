"""Live sources read in a process of their own, so that a driver that hangs or crashes can be replaced.

    reader process (child)                                 our process
    open, grab, decode --copy--> slot of a memfd ========> numpy array on the same memory -> engine
            `-- "slot 2 holds frame 17" --> mailbox ------'        |
            <-- what nobody took ----------'                       |
            <-- "slot 2 is free again" ----------------------------'  with the last reference to the array
    words, and a beat now and then -------------> ProcessReader's thread, which judges and replaces

The mailbox is a queue that both ends may read: whoever gets a message out of it owns its slot. The kernel
settles that, so no frame is written while it is read, on any processor, and a frame that the engine had no
time for costs our process nothing. A memfd has no name: whatever dies, and however, nothing stays behind.
"""
