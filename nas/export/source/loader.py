"""The last part of the file: what reads the weights, with torch and the standard library alone."""

from collections.abc import Iterable

import torch

NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.complex64: "C64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""Type of a tensor -> its name in a safetensors file."""

LOADER = '''\
DTYPES = {DTYPES}


def read_tensors(path: str) -> dict[str, Tensor]:
    """The tensors of a safetensors file: the length of a JSON header, the header, and their bytes."""
    with open(path, "rb") as file:
        data = bytearray(file.read())
    start = 8 + int.from_bytes(data[:8], "little")
    if not 8 < start <= len(data):
        raise ValueError(f"{path} is no safetensors file, or it is damaged.")
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name == "__metadata__":
            continue
        dtype, shape, (first, last) = DTYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
        count = math.prod(shape)
        if min([0, *shape]) < 0 or not 0 <= first <= first + count * dtype.itemsize == last <= len(data) - start:
            raise ValueError(f"{path} is damaged: {name} lies outside of it, or has another size.")
        flat = torch.frombuffer(data, dtype=dtype, count=count, offset=start + first) if count else torch.empty(0)
        tensors[name] = flat.to(dtype).view(shape)
    return tensors


def build(weights: str | None = None) -> NETWORK:
    """The network in eval mode, with the tensors of a file and of ``frozen.safetensors`` beside it, if any."""
    model = NETWORK()
    if weights is not None:
        frozen = Path(weights).with_name("frozen.safetensors")
        more = read_tensors(str(frozen)) if frozen.exists() else {}
        model.load_state_dict({**more, **read_tensors(weights)})
    return model.eval()
'''


def loader(network: str, dtypes: Iterable[torch.dtype]) -> str:
    """What reads a file with tensors of some types and makes a network of a class.

    Raises:
        KeyError: if a safetensors file cannot hold such a tensor.
    """
    known = sorted(set(dtypes), key=list(NAMES).index)
    table = "{" + ", ".join(f'"{NAMES[dtype]}": {dtype}' for dtype in known) + "}"
    return LOADER.replace("{DTYPES}", table).replace("NETWORK", network)
