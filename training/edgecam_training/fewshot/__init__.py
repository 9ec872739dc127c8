"""Teaching a finished engine new classes on the device, from a few photos, in seconds. Imports no torch."""
