"""A bundle's model for other tools: one plain ONNX file, or a folder that Triton serves."""
