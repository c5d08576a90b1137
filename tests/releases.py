"""What older releases of torch cannot do, as marks of tests; with them the package leaves such forms of exports out."""

import pytest
import torch

RELEASE = tuple(int(part) for part in torch.__version__.split(".")[:2])
takes_onnx = pytest.mark.skipif(RELEASE < (2, 8), reason="torch before 2.8 converts few graphs to ONNX")
takes_pt2 = pytest.mark.skipif(RELEASE < (2, 9), reason="torch before 2.9 puts pickles into model.pt2: not written")
