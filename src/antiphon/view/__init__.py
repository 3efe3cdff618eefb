"""Traces to look at: pages from this machine for a browser on it, and the same in one file.

`app` answers requests, `file` writes the file; both fill in the same templates. `index` is what lists are found by: a
file of the viewer's own, never the run's database.
"""
