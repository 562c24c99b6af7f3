"""Generates the CRD of RouterDeployments and the page docs/routerdeployment.md from rl_router_operator/schema."""
