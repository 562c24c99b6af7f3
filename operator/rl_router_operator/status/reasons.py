"""Defines all reasons of a RouterDeployment's conditions, with the meanings and the remedies."""

from __future__ import annotations

from enum import StrEnum
from typing import Self


class Reason(StrEnum):
    """The reason of a condition, as a stable word that alerts can match.

    The attribute `means` explains the reason, and the attribute `remedy` says what to do. The last sentence
    of each attribute has no full stop. The attribute `remedy` is empty for the reasons of healthy states.
    """

    means: str
    remedy: str

    def __new__(cls, word: str, means: str = "", remedy: str = "") -> Self:
        """Returns a new reason with the word `word`, the meaning `means` and the remedy `remedy`."""
        member = str.__new__(cls, word)
        member._value_ = word
        member.means, member.remedy = means, remedy
        return member

    # Reasons of healthy or intended states.
    SERVING = "Serving", "API pods answer requests. If Ready has this reason, the router also makes decisions"
    DECIDING = "Deciding", "At least one API pod gets valid decisions from the router model"
    UNUSED = "Unused", "The policy in spec.routing.policy does not use the router model"
    TARGETS_REACHABLE = "TargetsReachable", "At least one target can answer requests"
    NO_FAULT = "NoFault", "No fault is known, apart from faults that only ModelReady, APIReady or TargetsReady reports"
    SUSPENDED = "Suspended", "No pods run because spec.suspend is true", "Set spec.suspend to false to start the router"
    SCALED_TO_ZERO = (
        "ScaledToZero",
        "The router model or the API has no pods, because the number of replicas is set to 0",
        "Set spec.model.replicas or spec.api.replicas to 1 or more. If spec.api.autoscaling is set, scale the"
        " Deployment of the API to 1 or more",
    )

    # Reasons that the API pods report.
    UNCONFIRMED = (
        "Unconfirmed",
        "No API pod has yet reported the current state that the condition describes",
        "Wait a moment. If the condition stays Unknown, check the condition APIReady first",
    )
    UNREACHABLE = (
        "Unreachable",
        "An API pod is ready, but the operator's health request to port 8801 of the pod failed",
        "Allow traffic from the operator's namespace to port 8801 of the API pods. Check NetworkPolicies and the"
        " service mesh",
    )
    NOT_DECIDING = (
        "NotDeciding",
        "At least one API pod gets no valid decision from the router model",
        "Fix the cause that the message names. If decisions are slow, raise spec.routing.timeout. If the model was not"
        " trained to route, set spec.routing.protocol to json_schema",
    )
    NO_TARGETS = (
        "NoTargets",
        "No targets are configured, and the API found no usable models at the router model's server",
        "Add at least one target to spec.targets",
    )
    NO_TARGET_ANSWERS = (
        "NoTargetAnswers",
        "No target can answer requests",
        "Fix the cause that status.targets shows, usually a missing or rejected API key of the target, or a wrong"
        " baseUrl of the target",
    )
    TARGET_BAD = (
        "TargetBad",
        "At least one API pod reports a target that cannot answer requests",
        "Fix the cause that status.targets shows, usually a missing or rejected API key of the target, or a wrong"
        " baseUrl of the target",
    )
    CONFIGURATION_REFUSED = (
        "ConfigurationRefused",
        "The API cannot use its configuration file or keys file. A running API pod keeps using the last valid file",
        "Fix the field or the Secret that the message names. The API reads a changed file without a restart",
    )

    NOBODY_ADMITTED = (
        "NobodyAdmitted",
        "The API requires client keys but has no keys, so the API rejects every client",
        "Create the Secret that spec.api.auth.secretRef names, or add client keys to the entry `keys` of the Secret."
        " The API reads the keys without a restart",
    )

    # Reasons that concern the spec and the child objects.
    INVALID_SPEC = (
        "InvalidSpec",
        "The operator cannot use the spec and leaves the child objects unchanged",
        "Fix the field that the message names",
    )
    FOREIGN_OBJECT = (
        "ForeignObject",
        "An object that does not belong to the RouterDeployment has the name of a child object. The operator does not"
        " change such foreign objects",
        "Delete the object. If no controller owns the object, you can instead add the annotation rlrouter.dev/adopt:"
        " 'true' to the object, so that the operator adopts the object",
    )
    REFUSED = (
        "Refused",
        "The API server or an admission webhook rejected a child object",
        "Change the spec so that the object is accepted, or change the webhook or policy that rejects the object",
    )
    IMMUTABLE = (
        "Immutable",
        "The API server rejects the change of an immutable field of a child object",
        "Delete the object, so that the operator creates the object again. The StatefulSet creates a deleted"
        " PersistentVolumeClaim again if you also delete the model pod",
    )
    KIND_MISSING = (
        "KindMissing",
        "The cluster lacks a kind that the spec requires",
        "Install the component that provides the kind, or remove the field that needs the kind. The operator looks for"
        " the kind every minute",
    )
    FIELD_UNSUPPORTED = (
        "FieldUnsupported",
        "The cluster dropped a field of a child object, or rejected the object because of the field",
        "Upgrade Kubernetes or the CRD of the kind, or remove the setting from the spec. If an admission webhook"
        " removes the field, change the webhook. Restart the operator after a change outside the spec",
    )
    CONTROLLER_MISSING = (
        "ControllerMissing",
        "A child object changed more than 10 minutes ago, but no controller has processed the change",
        "Start the controller of the object. The controller of an HTTPRoute belongs to the Gateway of the HTTPRoute."
        " The controllers of Deployments, StatefulSets and PodDisruptionBudgets are parts of kube-controller-manager."
        " If the Gateway of an HTTPRoute does not exist, fix spec.api.httpRoute.parentRefs",
    )
    DELETION_STUCK = (
        "DeletionStuck",
        "The deletion of a child object takes more than 2 minutes. Until the deletion ends, the operator can neither"
        " change nor recreate the object",
        "Find out why the finalizers that the message names remain. The finalizer `foregroundDeletion` waits until the"
        " objects that the object owns are deleted, and `kubernetes.io/pvc-protection` waits until no pod uses the PVC."
        " If a finalizer belongs to no running controller, remove the finalizer from the object",
    )
    ROLLOUT_PAUSED = (
        "RolloutPaused",
        "Somebody has paused the Deployment of the API, so changes of the spec do not reach the API pods",
        "Resume the Deployment with `kubectl rollout resume deployment/NAME`, where NAME is the name of the Deployment"
        " in the message",
    )
    VOLUME_NOT_SHRUNK = (
        "VolumeNotShrunk",
        "A volume for weights is larger than spec.model.storage.size, because volumes cannot shrink",
        "Set spec.model.storage.size to the size of the volume. To get a smaller volume, delete the PVC and the pod"
        " that uses the PVC. The new pod then downloads the weights again",
    )
    VOLUME_NOT_CHANGED = (
        "VolumeNotChanged",
        "A volume for weights has another StorageClass or other access modes than spec.model.storage. Kubernetes cannot"
        " change the StorageClass or the access modes of a volume",
        "To get a volume that matches spec.model.storage, delete the PVC and the pod that uses the PVC. The new pod"
        " then downloads the weights again. To keep the volume, set spec.model.storage.accessModes to the access modes"
        " of the volume. If the StorageClass differs, first remove spec.model.storage, and then add spec.model.storage"
        " with the StorageClass of the volume",
    )
    FORBIDDEN = (
        "Forbidden",
        "The operator lacks a permission",
        "Add the verb and the resource that the message names to the operator's ClusterRole or Role",
    )
    FAILED = (
        "Failed",
        "The API server returned an error or did not respond",
        "The operator retries automatically. If the error persists, check the API server and its admission webhooks",
    )

    # Reasons why pods are missing or not ready.
    STARTING = "Starting", "Pods are starting", "Wait a moment. If the pods do not start, check their Events"
    POD_REFUSED = (
        "PodRefused",
        "The API server rejects new pods, for example because of Pod Security, a quota or an admission webhook",
        "Change the spec so that the pods are accepted, or change the policy, quota or webhook that rejects the pods",
    )
    UNSCHEDULABLE = (
        "Unschedulable",
        "The scheduler finds no node for a pod",
        "Provide a node that fits the pod, or lower the pod's requirements in spec.model (accelerator, resources,"
        " podTemplate) or spec.api (resources, podTemplate)",
    )
    VOLUME_UNBOUND = (
        "VolumeUnbound",
        "A pod's PersistentVolumeClaim is missing or gets no volume",
        "Create the PVC or StorageClass that the message names, or create a RouterDeployment with another name and"
        " another spec.model.storage.className",
    )
    VOLUME_NOT_MOUNTED = (
        "VolumeNotMounted",
        "A volume cannot be mounted into a pod",
        "Fix the cause that the message names. If a Secret, ConfigMap or PVC is missing, create the object, or fix its"
        " name in the spec",
    )
    IMAGE_PULL_FAILED = (
        "ImagePullFailed",
        "An image cannot be pulled",
        "Fix the image name, set imagePullSecrets, or give the nodes access to the registry",
    )
    CONTAINER_CONFIG_ERROR = (
        "ContainerConfigError",
        "A container cannot be configured, usually because a Secret or a key of a Secret is missing",
        "Create the Secret or ConfigMap with the key that the message names, or fix the reference in the spec",
    )
    CONTAINER_NOT_STARTED = (
        "ContainerNotStarted",
        "The node's container runtime cannot start a container",
        "Fix the cause that the message names. Usually, the image does not contain the container's program, or the node"
        " cannot provide the pod's network or container runtime",
    )
    LOADING = (
        "Loading",
        "A container runs, but its startup or readiness probe has not passed yet. Large weights take minutes to load",
        "Wait. If the model needs more time, raise spec.model.startupTimeout",
    )
    SERVICE_MISSING = (
        "ServiceMissing",
        "Pods are ready, but their Service does not exist",
        "The operator recreates the Service immediately, unless the RouterDeployment is paused. If the"
        " RouterDeployment is paused, remove the annotation rlrouter.dev/paused",
    )
    NOT_READY = (
        "NotReady",
        "A container runs but fails its readiness probe",
        "Check the pod's log and Events",
    )
    STARTUP_TIMEOUT = (
        "StartupTimeout",
        "The model did not load within spec.model.startupTimeout, so Kubernetes restarted the container",
        "Raise spec.model.startupTimeout, or keep downloaded weights with spec.model.storage",
    )
    CRASH_LOOPING = (
        "CrashLooping",
        "A container exited at least once. The message quotes the log's last error line, or else the log's last line",
        "Fix the cause that the quoted line names, usually a flag in extraArgs, a variable in env, or the image. The"
        " pod's log has more details",
    )
    OUT_OF_MEMORY = (
        "OutOfMemory",
        "A container was killed because it exceeded its memory limit, or because the node ran out of memory",
        "Raise resources.limits.memory, or use a node with more memory. For the router model, you can instead lower"
        " spec.model.maxModelLen or choose a smaller model",
    )
    ACCELERATOR_MEMORY = (
        "AcceleratorMemory",
        "The model does not fit into the accelerators' memory",
        "Lower spec.model.maxModelLen, raise spec.model.accelerator.count, or choose a smaller model",
    )
    ACCELERATOR_MISSING = (
        "AcceleratorMissing",
        "The engine finds no usable accelerator",
        "Set spec.model.accelerator and a spec.model.image that was built for the accelerator, or remove both to run"
        " the model on a CPU",
    )
    HUB_UNAUTHORIZED = (
        "HubUnauthorized",
        "The model hub returned 401: the token is missing or wrong, or the repository does not exist",
        "Check spec.model.source, and set spec.model.hfTokenSecretRef to a Secret with a valid token",
    )
    HUB_FORBIDDEN = (
        "HubForbidden",
        "The model hub returned 403: the repository is gated and the token has no access to the repository",
        "Accept the model's terms on the hub with the token's account, or use a token that has access to the"
        " repository",
    )
    HUB_NOT_FOUND = (
        "HubNotFound",
        "The model hub returned 404: the repository, revision or file does not exist",
        "Fix spec.model.source. A private repository also requires spec.model.hfTokenSecretRef",
    )
    HUB_UNREACHABLE = (
        "HubUnreachable",
        "The model's pod cannot reach the model hub, or a download failed, for example because the disk is full",
        "Give the pods access to the hub, set HF_ENDPOINT or a proxy in spec.model.env, or store the weights in a PVC"
        " and set spec.model.source to their pvc:// path. If the disk is full, set or raise spec.model.storage.size",
    )
    MODEL_PATH_MISSING = (
        "ModelPathMissing",
        "The path or repository in spec.model.source has no usable weights",
        "Fix spec.model.source, or store the weights at this path",
    )
    NODE_REFUSED = (
        "NodeRefused",
        "A node rejected a pod that the scheduler had assigned to the node",
        "Check the node: a device may be in use or unhealthy, or the node may be shutting down",
    )
    EVICTED = (
        "Evicted",
        "A pod was evicted from its node, or preempted by a pod with a higher priority",
        "Free up capacity on the node, set requests that match the pod's usage, or set a priorityClassName",
    )
    NODE_LOST = (
        "NodeLost",
        "A pod's node does not respond",
        "Repair the node. If the node is gone for good, delete the Node object, so that Kubernetes replaces the pods of"
        " the node",
    )
    ROLLOUT_STUCK = (
        "RolloutStuck",
        "Pods do not become ready. Pods that are already ready continue to answer requests",
        "Fix the cause that the message names. If the message names no cause, check the Events of the pods. After the"
        " fix, the rollout continues automatically",
    )


PROGRESS = frozenset({Reason.STARTING, Reason.LOADING, Reason.UNCONFIRMED, Reason.NO_FAULT})
"""The reasons that need no Event, because nothing is wrong or the state usually passes without intervention."""
INTENDED = frozenset({Reason.SUSPENDED, Reason.SCALED_TO_ZERO})
"""The reasons of conditions in states that the spec requests, such as a suspended router."""
