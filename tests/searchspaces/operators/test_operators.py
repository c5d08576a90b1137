"""Every registered mixing operator fulfils the contract of mixing operators."""

from typing import Any

import pytest

from nas.testing.operators import OperatorContract
from searchspaces.architecture import CHANNEL_MIXERS, TOKEN_MIXERS

MIXERS: dict[str, Any] = {**TOKEN_MIXERS, **{f"channel {name}": kind for name, kind in CHANNEL_MIXERS.items()}}


@pytest.mark.parametrize("kind", MIXERS.values(), ids=MIXERS.keys())
class TestMixers(OperatorContract):
    pass
