"""From shards to tables, figures and reports."""
