"""CUDA by whichever binding is installed: the few calls that an engine needs."""
