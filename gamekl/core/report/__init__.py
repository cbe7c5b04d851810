"""What results are shown as: tables for reading, pandas and LaTeX, and the look of figures."""
