"""Many edits, by several workers, that a kill does not lose: `jobs.py` says which, `groups.py` which of
them are computed at once, `editor.py` computes them, `workers.py` and `cluster.py` hold the processes that
do, `journal.py` what is done, and `driver.py` brings these together. Imports no torch."""
