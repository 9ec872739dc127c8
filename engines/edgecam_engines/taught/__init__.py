"""Class heads that were taught on the device, and what they can do that a linear map cannot."""
