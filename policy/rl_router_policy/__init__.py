"""The learned policy: predicts the quality and the cost of each target's answer to a prompt.

The package needs numpy, safetensors and tokenizers, and imports no other package of RL Router.
"""
