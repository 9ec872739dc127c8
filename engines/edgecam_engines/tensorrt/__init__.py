"""TensorRT: plans built, kept, checked and run."""
