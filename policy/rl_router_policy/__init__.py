"""The learned policy: predicts how well and how dearly each target would answer a prompt.

The package needs numpy, safetensors and tokenizers, and imports no other package of RL Router.
"""
