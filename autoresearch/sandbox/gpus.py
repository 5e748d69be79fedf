"""The GPUs of this machine as NVML, the NVIDIA driver's own library, tells them; the only door to it."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from autoresearch.errors import BadInput

_VISIBLE = "CUDA_VISIBLE_DEVICES"
_WITHOUT = "or set gpus = 0 in task.toml"


@dataclass(frozen=True)
class Gpu:
    """A device that can be handed out: a whole GPU, or a MIG instance where a GPU is split into those."""

    identifier: str  # "GPU-..." or "MIG-...", which stay the same whatever else is plugged in
    name: str
    used: int  # bytes of its memory that somebody uses now


@dataclass(frozen=True)
class Gpus:
    """What the driver offers to this process."""

    driver: str  # its version
    devices: tuple[Gpu, ...]


def list_gpus() -> Gpus:
    """All devices, or those that CUDA_VISIBLE_DEVICES leaves. Raises BadInput without a driver.

    Numbers in that variable count in the order of nvidia-smi.
    """
    with _library() as nvml:
        found = [
            _devices(nvml, nvml.nvmlDeviceGetHandleByIndex(index))
            for index in range(nvml.nvmlDeviceGetCount())
        ]
        driver = str(nvml.nvmlSystemGetDriverVersion())
    visible = os.environ.get(_VISIBLE)
    devices = [gpu for one in found for gpu in one] if visible is None else _chosen(found, visible)
    return Gpus(driver, tuple(devices))


def enough_gpus(count: int) -> tuple[Gpu, ...]:
    """The devices of this machine, `count` of them at least. Raises BadInput when there are fewer."""
    devices = list_gpus().devices
    if len(devices) >= count:
        return devices
    hidden = os.environ.get(_VISIBLE)
    offers = f"this machine has {len(devices) or 'none'}"
    if hidden is not None:
        offers = f"{_VISIBLE}={hidden} leaves {len(devices) or 'none'}: widen it,"
    else:
        offers += ": run it where there are more,"
    raise BadInput(f"the task wants {_count(count)} and {offers} or lower gpus in task.toml")


def _count(count: int) -> str:
    return "1 GPU" if count == 1 else f"{count} GPUs"


@contextlib.contextmanager
def _library() -> Iterator[Any]:
    """NVML, begun and ended; its failures as one line."""
    import pynvml

    try:
        pynvml.nvmlInit()
        try:
            yield pynvml
        finally:
            pynvml.nvmlShutdown()
    except pynvml.NVMLError as error:
        raise BadInput(_explain(pynvml, error)) from None


def _explain(nvml: Any, error: Exception) -> str:
    code = getattr(error, "value", None)
    if code == nvml.NVML_ERROR_LIBRARY_NOT_FOUND:
        return (
            "no GPU can be had: this machine has no NVIDIA driver (no libnvidia-ml.so.1); "
            f"install it, {_WITHOUT}"
        )
    if code == nvml.NVML_ERROR_DRIVER_NOT_LOADED:
        return f"no GPU can be had: the NVIDIA driver is not loaded; modprobe nvidia, {_WITHOUT}"
    if code == nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
        return (
            "no GPU can be had: the NVIDIA driver was updated while it ran; restart the machine, "
            f"{_WITHOUT}"
        )
    return f"no GPU can be had: NVML says {error}; look at nvidia-smi, {_WITHOUT}"


def _devices(nvml: Any, handle: Any) -> list[Gpu]:
    """A GPU as one device, or as its MIG instances: split, it cannot be used as a whole."""
    instances = []
    with contextlib.suppress(nvml.NVMLError):  # most have no MIG at all
        if nvml.nvmlDeviceGetMigMode(handle)[0]:
            for index in range(nvml.nvmlDeviceGetMaxMigDeviceCount(handle)):
                with contextlib.suppress(nvml.NVMLError):  # a place that is not taken
                    instances.append(nvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index))
            return [_device(nvml, each) for each in instances]
    return [_device(nvml, handle)]


def _device(nvml: Any, handle: Any) -> Gpu:
    return Gpu(
        identifier=str(nvml.nvmlDeviceGetUUID(handle)),
        name=str(nvml.nvmlDeviceGetName(handle)),
        used=int(nvml.nvmlDeviceGetMemoryInfo(handle).used),
    )


def _chosen(found: list[list[Gpu]], visible: str) -> list[Gpu]:
    """As CUDA reads it: numbers or beginnings of identifiers, up to the first that names nothing."""
    chosen: list[Gpu] = []
    for name in map(str.strip, visible.split(",")):
        if name.isdecimal():
            named = found[int(name)] if int(name) < len(found) else []
        else:
            named = [gpu for one in found for gpu in one if gpu.identifier.startswith(name)]
        if not name or not named or (len(named) > 1 and not name.isdecimal()):
            break
        chosen += [gpu for gpu in named if gpu not in chosen]
    return chosen
