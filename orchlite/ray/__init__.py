"""Runs on a Ray cluster: `Client(engine=RayJobs("http://head:8265"))`. Speaks the REST API of Ray's Jobs service, so it needs no `ray`.

Nothing imports this package before it is asked for.
"""

from orchlite.ray.ray_jobs import RayJobs

__all__ = ["RayJobs"]
