"""From a config to shards."""
