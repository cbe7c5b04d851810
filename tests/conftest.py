"""Float64, strict dtype promotion, and shapes checked at run time, in all tests."""

from jaxtyping import install_import_hook

install_import_hook("gamekl", "beartype.beartype")

import jax  # noqa: E402

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
