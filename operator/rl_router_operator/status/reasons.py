"""Every reason of a condition, with its meaning and its remedy."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """A stable word; `means` and `remedy` are sentences without the full stop, `remedy` empty where all is well."""

    means: str
    remedy: str

    def __new__(cls, word: str, means: str = "", remedy: str = "") -> Self:
        """A member that knows its sentences."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.means, member.remedy = means, remedy
        return member

    # All is well, or as was asked for.
    SERVING = "Serving", "The API's pods answer, and the router decides"
    DECIDING = "Deciding", "The router model decides: the API had a readable decision from it"
    UNUSED = "Unused", "The policy that spec.routing.policy names decides without the router model"
    TARGETS_REACHABLE = "TargetsReachable", "At least one target can answer"
    NO_FAULT = "NoFault", "No fault is known; what is not ready yet is under way"
    SUSPENDED = "Suspended", "No pods run because spec.suspend is true", "Set spec.suspend to false to start it"
    SCALED_TO_ZERO = (
        "ScaledToZero",
        "No pods run because the spec asks for 0 replicas",
        "Set spec.model.replicas or spec.api.replicas to 1 or more",
    )

    # What only the API's pods can tell.
    UNCONFIRMED = (
        "Unconfirmed",
        "No API pod has said yet how it is",
        "Wait a moment; if it stays, look at APIReady first",
    )
    UNREACHABLE = (
        "Unreachable",
        "The API's pods are ready, but the operator cannot ask them on port 8801",
        "Let the operator's namespace reach port 8801 of these pods: look for a NetworkPolicy or a mesh between",
    )
    NOT_DECIDING = (
        "NotDeciding",
        "The router model runs, but the API had no readable decision from it",
        "Correct what the message names: a key or name in spec.model, spec.routing.timeout for slow decisions, or"
        " spec.routing.protocol json_schema for a model that was not trained to route",
    )
    NO_TARGETS = (
        "NoTargets",
        "No targets are configured, and the router model's server lists none",
        "Name at least one under spec.targets",
    )
    NO_TARGET_ANSWERS = (
        "NoTargetAnswers",
        "None of the targets can answer",
        "Look at status.targets: each one says why, and mostly it is a missing or refused key or a wrong baseUrl",
    )
    TARGET_BAD = (
        "TargetBad",
        "Some targets cannot answer; the others do",
        "Look at status.targets: each one says why, and mostly it is a missing or refused key or a wrong baseUrl",
    )
    CONFIGURATION_REFUSED = (
        "ConfigurationRefused",
        "The API cannot use its configuration or keys file; a server that had a good one keeps serving with it",
        "Correct the field that the message names; no restart is needed",
    )

    NOBODY_ADMITTED = (
        "NobodyAdmitted",
        "The API asks its clients for keys and knows none, so nobody gets in",
        "Make the Secret that spec.api.auth.secretRef names, with the list of keys under `keys`; no restart is needed",
    )

    # What the API server said of the children.
    INVALID_SPEC = (
        "InvalidSpec",
        "The spec cannot be used; its children are left as they are",
        "Correct the field that the message names",
    )
    FOREIGN_OBJECT = (
        "ForeignObject",
        "An object of a child's name exists and belongs to somebody else; it is left alone",
        "Delete it, or, where nothing controls it, hand it over with the annotation rlrouter.dev/adopt: 'true'",
    )
    REFUSED = (
        "Refused",
        "The API server or an admission webhook refused a child",
        "Change the spec so that the child is accepted, or the policy that refuses it",
    )
    KIND_MISSING = (
        "KindMissing",
        "The cluster lacks a kind that the spec asks for",
        "Install what brings the kind, or leave the field out; it is looked for every minute",
    )
    FORBIDDEN = (
        "Forbidden",
        "The operator's own rights do not suffice",
        "Give its ClusterRole or Role the verb that the message names",
    )
    FAILED = (
        "Failed",
        "The API server answered with an error",
        "The operator tries again by itself; if it stays, look at the API server",
    )

    # Pods that are not there or not ready.
    STARTING = "Starting", "Pods are being started", "Wait a moment; if it stays, look at the Events of the pods"
    POD_REFUSED = (
        "PodRefused",
        "The cluster does not let the pods be made: Pod Security, a quota or an admission webhook",
        "Change the spec so that the pods are accepted, or the namespace's policy or quota",
    )
    UNSCHEDULABLE = (
        "Unschedulable",
        "The scheduler finds no node for a pod",
        "Free or add a node that has what the pod asks for, or ask for less: accelerator, resources, podTemplate",
    )
    VOLUME_UNBOUND = (
        "VolumeUnbound",
        "A pod's claim is missing or gets no volume",
        "Make the claim that the message names, or name a StorageClass that exists and provisions in"
        " spec.model.storage.className",
    )
    VOLUME_NOT_MOUNTED = (
        "VolumeNotMounted",
        "A volume cannot be mounted into a pod",
        "Make the Secret, ConfigMap or claim that the message names, or correct its name in the spec",
    )
    IMAGE_PULL_FAILED = (
        "ImagePullFailed",
        "An image cannot be pulled",
        "Correct the image's name, give imagePullSecrets, or let the nodes reach the registry",
    )
    CONTAINER_CONFIG_ERROR = (
        "ContainerConfigError",
        "A container cannot be configured, mostly because a Secret or its key is missing",
        "Make the Secret or ConfigMap with the key that the message names, or correct the reference in the spec",
    )
    CONTAINER_NOT_STARTED = (
        "ContainerNotStarted",
        "The node's runtime cannot start a container",
        "Read the message: the image lacks the program, or the node cannot give the pod its network or runtime",
    )
    LOADING = (
        "Loading",
        "A container runs and its startup probe has not passed yet; large weights take minutes",
        "Wait; a model that needs longer than spec.model.startupTimeout needs a larger one",
    )
    SERVICE_MISSING = (
        "ServiceMissing",
        "Pods are ready, and the Service that leads to them is not there",
        "It is made again at once, unless the RouterDeployment is paused: remove the annotation rlrouter.dev/paused",
    )
    NOT_READY = (
        "NotReady",
        "A container runs and does not pass its readiness probe",
        "Look at the pod's log and Events",
    )
    STARTUP_TIMEOUT = (
        "StartupTimeout",
        "The model was not loaded within spec.model.startupTimeout and was restarted",
        "Raise spec.model.startupTimeout, or keep downloaded weights with spec.model.storage",
    )
    CRASH_LOOPING = (
        "CrashLooping",
        "A container ends again and again; the message has its last line",
        "Correct what the line names, mostly a flag in extraArgs, env or the image; the pod's log has the rest",
    )
    OUT_OF_MEMORY = (
        "OutOfMemory",
        "A container was killed because it used more memory than its limit",
        "Raise resources.limits.memory, or choose a smaller model or spec.model.maxModelLen",
    )
    ACCELERATOR_MEMORY = (
        "AcceleratorMemory",
        "The model does not fit into the accelerators' memory",
        "Lower spec.model.maxModelLen, raise spec.model.accelerator.count, or choose a smaller model",
    )
    ACCELERATOR_MISSING = (
        "AcceleratorMissing",
        "The engine finds no accelerator that it can use",
        "Set spec.model.accelerator, and an image that was built for it; left out, the model runs on a CPU",
    )
    HUB_UNAUTHORIZED = (
        "HubUnauthorized",
        "The hub answered 401: the token is missing or wrong, or the repository does not exist",
        "Check spec.model.source, and name a Secret with a valid token in spec.model.hfTokenSecretRef",
    )
    HUB_FORBIDDEN = (
        "HubForbidden",
        "The hub answered 403: the repository is gated and the token has no access to it",
        "Accept the model's terms on the hub with the token's account, or use a token that may read it",
    )
    HUB_NOT_FOUND = (
        "HubNotFound",
        "The hub answered 404: no such repository, revision or file",
        "Correct spec.model.source; a private repository also needs spec.model.hfTokenSecretRef",
    )
    HUB_UNREACHABLE = (
        "HubUnreachable",
        "The model's pod cannot reach the hub",
        "Let the pods reach the hub, set HF_ENDPOINT or a proxy in spec.model.env, or use pvc:// weights",
    )
    MODEL_PATH_MISSING = (
        "ModelPathMissing",
        "There are no weights that can be used where spec.model.source says",
        "Correct the path in spec.model.source, or put the weights there",
    )
    NODE_REFUSED = (
        "NodeRefused",
        "The node refused the pod that was given to it",
        "Look at the node: a device that is taken or unhealthy, or a node that shuts down",
    )
    EVICTED = (
        "Evicted",
        "A pod was evicted from its node",
        "Give the node more room, or the pod requests that match what it uses, or a priorityClassName",
    )
    NODE_LOST = (
        "NodeLost",
        "The node of a pod does not answer",
        "Repair the node; if it never comes back, delete the Node so that its pods are replaced",
    )
    ROLLOUT_STUCK = (
        "RolloutStuck",
        "New pods do not become ready; earlier ones serve on where there are any",
        "Correct the spec as the message says: the roll-out then goes on by itself",
    )


UNDER_WAY = frozenset({Reason.STARTING, Reason.LOADING, Reason.UNCONFIRMED, Reason.NO_FAULT})
"""What passes by itself, or is as it should be without anybody having done anything."""
AS_ASKED = frozenset({Reason.SUSPENDED, Reason.SCALED_TO_ZERO})
"""What is so because somebody wants it."""
