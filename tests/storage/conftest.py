import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from storage_model import KINDS


@pytest.fixture(params=list(KINDS))
def kind(request):
    return KINDS[request.param]
