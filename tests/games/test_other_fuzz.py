"""Broken .agg, .bagg and .csv files of all kinds are read or refused."""

import re

from fuzz_helpers import never_dies
from hypothesis import strategies as st
from test_agg_files import BAR, bayesian
from test_csv_files import PAIRS, ROWS

from gamekl.games.files.agg import agg_table, bagg_table
from gamekl.games.files.csv_tables import csv_table
from gamekl.games.files.game_text import make_game

GRAPH = "#AGG\n2 2 2\n2 2\n0 1\n0 1\n2 2 3\n1 3\n2 0 1\n1 1\n10 0 [ 1 2 ]\n1\n0 1 2 3 4\n0 0 1"


def tokens(text):
    """What a text falls into, as hypothesis takes it."""
    return st.just(re.findall(r"#\w+|[\w./-]+|[^\w\s]|\n", text))


def game(table):
    return lambda text: make_game(table(text), None)


test_broken_agg = never_dies(st.one_of(tokens(BAR), tokens(GRAPH)), game(agg_table), ["agg: "], 200)
test_broken_bagg = never_dies(tokens(bayesian("1/4 3/4")), game(bagg_table), ["agg: ", "bagg: "], 200)
test_broken_csv = never_dies(st.one_of(tokens(ROWS), tokens(PAIRS)), game(csv_table), ["csv: "], 200)
