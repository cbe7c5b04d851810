"""Every program of gamekl, as it is lowered for machines that this one need not be.

`jitted` and `programs` list what there is and one small call of each; `python -m lowering` lowers them all.
"""
