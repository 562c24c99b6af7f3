"""Defines the spec and the status of RouterDeployments as pydantic models. The CRD is generated from these models."""

from .api import Api, Auth, Autoscaling, CaBundle, DisruptionBudget, HttpRoute, Ingress
from .base import GROUP, KIND, PLURAL, VERSION, KeyRef, ObjectRef
from .model import Accelerator, ChatTemplate, ExternalModel, Model, Storage
from .pods import EnvVar, NetworkPolicy, PodSecurity, PodTemplate, Resources, ServiceAccount
from .routing import RoutingSpec, TargetSpec
from .spec import RouterDeploymentSpec
from .state import Condition, RouterDeploymentStatus, TargetState

__all__ = [
    "GROUP",
    "KIND",
    "PLURAL",
    "VERSION",
    "Accelerator",
    "Api",
    "Auth",
    "Autoscaling",
    "CaBundle",
    "ChatTemplate",
    "Condition",
    "DisruptionBudget",
    "EnvVar",
    "ExternalModel",
    "HttpRoute",
    "Ingress",
    "KeyRef",
    "Model",
    "NetworkPolicy",
    "ObjectRef",
    "PodSecurity",
    "PodTemplate",
    "Resources",
    "RouterDeploymentSpec",
    "RouterDeploymentStatus",
    "RoutingSpec",
    "ServiceAccount",
    "Storage",
    "TargetSpec",
    "TargetState",
]
