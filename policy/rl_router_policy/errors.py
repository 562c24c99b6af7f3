"""The errors of the policy package. Each message is one line."""


class ArtefactError(Exception):
    """An artefact or an embedding cannot be read or is damaged, or an artefact has another format or embedding."""


class SituationError(Exception):
    """The field `rl_router` of a request does not describe a situation. The message names the invalid field."""
