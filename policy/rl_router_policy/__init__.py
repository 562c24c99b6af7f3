"""The learned policy: predicts the quality and the cost of each target's answer to a prompt.

The package needs numpy and safetensors, and imports no other package of RL Router.
"""
