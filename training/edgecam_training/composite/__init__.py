"""A localization data set that anyone can make: cut-outs pasted over photos, with exact masks and boxes.

Nothing here imports torch.
"""
