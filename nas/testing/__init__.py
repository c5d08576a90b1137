"""Contract suites for authors of plugins: classes of tests that a registered member of each kind must pass.

Example, in a test file of one's own::

    @pytest.mark.parametrize("kind", [GatedShift])
    class TestGatedShift(OperatorContract): ...
"""
