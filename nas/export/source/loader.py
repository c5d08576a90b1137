"""The last part of the file: what reads the weights, with torch and the standard library alone."""

LOADER = '''\
DTYPES = {
    **{"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "BOOL": torch.bool},
    **{"I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8},
    "C64": torch.complex64,
}


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
        if min([0, *shape]) < 0 or not 0 <= first <= last <= len(data) - start or last - first != count * dtype.itemsize:
            raise ValueError(f"{path} is damaged: {name} lies outside of it, or has another size.")
        flat = torch.frombuffer(data, dtype=dtype, count=count, offset=start + first) if count else torch.empty(0)
        tensors[name] = flat.to(dtype).view(shape)
    return tensors


def build(weights: str | None = None) -> NETWORK:
    """The network in eval mode, with the tensors of a file; without one it holds no weights of use.

    Raises:
        RuntimeError: if a name or a shape is not that of this network.
    """
    model = NETWORK()
    if weights is not None:
        model.load_state_dict(read_tensors(weights))
    return model.eval()
'''
