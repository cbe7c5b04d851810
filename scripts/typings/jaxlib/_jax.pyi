# jaxlib's compiled part has no stub, without which the signatures in jax.numpy are partly unknown.

from typing import Any

class Device:
    platform: str
    device_kind: str

def __getattr__(name: str) -> Any: ...
