"""The Engine protocol, its back ends, and the bundle that carries them."""
