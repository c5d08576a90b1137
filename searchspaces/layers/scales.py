"""Several scales of a series in one tensor, ``(B, C, variates, T0 + T1 + ...)``: averages of ``window`` steps."""


def lengths(steps: int, scales: int, window: int) -> list[int]:
    """Steps of a series and of ``scales`` averages of it, each of ``window`` steps of the one before.

    Example: ``lengths(96, 3, 2)`` is ``[96, 48, 24, 12]``.

    Raises:
        ValueError: if nothing is left of the last.
    """
    found = [steps]
    for _ in range(scales):
        found.append(found[-1] // window)
    if found[-1] < 1:
        raise ValueError(f"scales must leave a step of {steps}, got scales={scales} of window={window}. Take fewer.")
    return found


def lengths_of(total: int, scales: int, window: int) -> list[int]:
    """The `lengths` that are ``total`` steps together.

    Raises:
        ValueError: if there are none.
    """
    for steps in range(total, total // 2, -1):
        found = [steps]
        for _ in range(scales):
            found.append(found[-1] // window)
        if sum(found) == total and found[-1]:
            return found
    raise ValueError(
        f"scales must be those that the stem made, got {total} steps for scales={scales}, window={window}."
    )
