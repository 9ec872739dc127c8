"""Photos in, a trained model and its exported graph out. The only package that imports torch."""
