"""Payoff files in the text of Gambit's strategic form, the tables that they hold, and tables of any numbers."""

from hypothesis import strategies as st

PAYOFF_VARIANT = """NFG 1 R "Selten (IJGT, 75), Figure 2, normal form"
{ "Player 1" "Player 2" } { 3 2 }

1 1 0 2 0 2 1 1 0 3 2 0
"""
# Gambit's manual prints this game; the first player's strategy runs fastest.
SELTEN = [[[1, 1], [0, 0], [0, 2]], [[1, 1], [2, 3], [2, 0]]]

OUTCOME_VARIANT = """NFG 1 R "named" { "Row" "Column" }

{ { "top" "middle {}" "bottom, last" }
{ "left" "right" }
}
"A comment, with { braces } and \\"quotes\\""

{
{ "best for both" 10, 5/2 }
{ "" -1 .5 }
{ "three" 1e-1 2.5e1 }
}
1 0 2 3 2 1
"""
NAMED = [[[10, 0.1], [0, -1], [-1, 10]], [[2.5, 25], [0, 0.5], [0.5, 2.5]]]

THREE_PLAYERS = """NFG 1 D "" { "1" "2" "3" } { 2 1 3 }
1 10 100  2 20 200  3 30 300  4 40 400  5 50 500  6 60 600"""

finite = st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=True)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(lambda sizes: (len(sizes), *sizes))
