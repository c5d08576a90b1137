"""What the tests of search spaces share: inputs drawn at random do not depend on the order of the tests."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)
