"""New photos from those there are: a thing that its class map points at, on the ground of another photo.

Nothing here imports torch, except the optional filler in `diffusion`.
"""
