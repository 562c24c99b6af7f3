"""The errors of the policy package. Each message is one line."""


class ArtefactError(Exception):
    """An artefact or an embedding is missing or damaged, or an artefact has another format or another embedding."""


class SituationError(Exception):
    """The field `rl_router` of a request does not describe a situation. The message names the wrong field."""
