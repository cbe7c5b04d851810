"""What a TOML file may say. Loads no jax."""
