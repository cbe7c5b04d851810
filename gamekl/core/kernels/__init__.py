"""Many small problems side by side: linear algebra in lanes, blocks of a batch, and the equations solved."""
