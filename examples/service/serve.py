"""Run what is queued and due in the store that ORCHLITE_STORE names, until SIGTERM or SIGINT."""

import logging

from orchlite import Client

logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")

with Client() as wl:
    print(f"keeping the schedules of {wl.path()}", flush=True)
    wl.run_forever()
