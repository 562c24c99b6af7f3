"""What the operator's tests share: a real API server that knows RouterDeployments."""

import control_plane
import pytest
import yaml
from admission import DEFINITIONS, ROUTERS, Admission
from eventually import eventually
from rl_router_operator.generate.__main__ import ROOT

CRD = ROOT / "crds" / "routerdeployments.rlrouter.dev.yaml"


@pytest.fixture(scope="session")
def api_server(tmp_path_factory):
    """One for all tests; skipped where its programs are missing."""
    if reason := control_plane.missing():
        pytest.skip(reason)
    with control_plane.running(tmp_path_factory.mktemp("control-plane")) as server:
        assert server.ask("POST", DEFINITIONS, yaml.safe_load(CRD.read_text()))["metadata"]["uid"]
        eventually(lambda: server.client.get(ROUTERS).status_code == 200, "RouterDeployments are served")
        yield server


@pytest.fixture(scope="session")
def admission(api_server):
    """The API server as the judge of RouterDeployments; nothing that it takes is kept."""
    return Admission(api_server)
