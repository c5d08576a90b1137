"""What a trial leaves besides its values: the curve of its training, and what it predicts for every image measured."""

import csv
import hashlib
import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from nas.errors import WrongInputError, regular
from nas.store.artifacts import CURVE, weights_path

COLUMNS = ("epoch", "loss", "learning_rate", "seconds")
"""Of a curve, before the value of an objective that is empty unless the training is tracked."""


def curve_csv(rows: Iterable[Sequence[float]], tracked: str) -> bytes:
    """The content of ``curve.csv``; what is not known (NaN) is empty.

    Args:
        tracked: name of the objective in the last column.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*COLUMNS, tracked])
    for epoch, *values in rows:
        writer.writerow([int(epoch), *("" if np.isnan(value) else f"{value:.6g}" for value in values)])
    return text.getvalue().encode()


def read_curve(directory: Path, number: int) -> list[dict[str, float | None]]:
    """The epochs of a trial's training: column -> value, None where it is empty; none where it left no curve.

    Raises:
        WrongInputError: if the file is damaged.
    """
    path = weights_path(directory, number).with_name(CURVE)
    try:
        rows = list(csv.DictReader(regular(path).read_text().splitlines(), strict=True))
        return [{name: float(value) if value else None for name, value in row.items()} for row in rows]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise WrongInputError(f"{path} is damaged ({error}). Restore it from a copy, or delete it.") from None


@dataclass(frozen=True)
class Predictions:
    """What a network says of the images that it is measured on.

    Args:
        predicted: (N,) class numbers; empty where the network predicts no classes.
        right: (N,) booleans.
        digest: of all logits: two networks with the same one are the same for these images, bit for bit.
    """

    predicted: np.ndarray
    right: np.ndarray
    digest: str

    @classmethod
    def of(cls, outputs: np.ndarray, labels: np.ndarray) -> Self:
        """Those of (N, K) logits and (N,) labels; of outputs that are no logits there is only the digest."""
        digest = hashlib.blake2b(np.ascontiguousarray(outputs, np.float32).tobytes(), digest_size=16).hexdigest()
        if labels.ndim != 1 or labels.dtype.kind not in "iu" or outputs.ndim != 2:
            return cls(np.empty(0, np.uint8), np.empty(0, bool), digest)
        predicted = outputs.argmax(1)
        return cls(predicted.astype(np.min_scalar_type(outputs.shape[1])), predicted == labels, digest)

    def to_bytes(self) -> bytes:
        """The content of ``predictions.npz``."""
        out = io.BytesIO()
        right, digest = np.packbits(self.right), np.frombuffer(bytes.fromhex(self.digest), np.uint8)
        np.savez_compressed(out, predicted=self.predicted, right=right, digest=digest)
        return out.getvalue()

    @classmethod
    def from_bytes(cls, content: bytes) -> Self:
        """What `to_bytes` returned; raises the errors of `numpy.load` if it is damaged."""
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            found: dict[str, Any] = {name: arrays[name] for name in ("predicted", "right", "digest")}
        right = np.unpackbits(found["right"], count=len(found["predicted"])).astype(bool)
        return cls(found["predicted"], right, found["digest"].tobytes().hex())

    @classmethod
    def read(cls, path: Path) -> Self:
        """The predictions of a trial.

        Raises:
            WrongInputError: if there are none, or the file is damaged.
        """
        try:
            return cls.from_bytes(regular(path).read_bytes())
        except FileNotFoundError:
            raise WrongInputError(f"{path} does not exist: only complete trials have predictions.") from None
        except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
            raise WrongInputError(f"{path} is damaged ({error}). Restore it from a copy, or delete it.") from None
