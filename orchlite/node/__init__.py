"""The program that executes one run on a node of a cluster, as a host of a store that it makes for this run and removes.

`python -m orchlite.node` reads the job's document in the current folder (`runs/job_document.py`), and reports on its standard output
(`runs/job_output.py`). It exits with 0 if the run has succeeded. SIGTERM ends the run; so does the end of this program, however it ends.
"""
