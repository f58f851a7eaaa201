"""Robust statistics: estimates that outliers hardly move."""

#: standard deviation of a normal distribution per median absolute deviation
STD_PER_MAD = 1.4826
