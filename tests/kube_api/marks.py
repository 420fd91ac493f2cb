"""What a test needs of this machine."""

import pytest

from tests.kube_api.node.process import why_not_here

NEEDS_REAL_PODS = pytest.mark.skipif(
    bool(why_not_here()), reason=why_not_here() or "real pods can be had"
)
