"""The snippets of the platform's REST guide, typed with plain `requests` against a server on this machine: python examples/rest_snippets.py

They stand in the guide's order. Where the guide's text is broken, a comment that begins with "repaired" says how and why.
"""

import json
import pprint
import tempfile
import time
import zipfile
from pathlib import Path

import requests

from orchlite import Client, rest

scratch = tempfile.TemporaryDirectory()
archive = Path(scratch.name, "api_inference_orchestration.zip")
with zipfile.ZipFile(archive, "w") as bundle:
    bundle.write(Path(__file__).with_name("hello") / "main.py", "main.py")

wl = Client.temporary()
server = rest.serve(wl, port=0)
APIURL = server.url
workspace_id = wl.get_current_workspace().id()

# --- Upload an orchestration -----------------------------------------------------------------------------------------------------

# retrieve the authorization token
# repaired: wl.auth belongs to the platform's SDK. With it, wl.auth.auth_header() is this.
headers = {"Authorization": f"Bearer {server.token}"}

url = f"{APIURL}/v1/api/orchestration/upload"

fp = open(archive, "rb")  # noqa: SIM115 - as the guide has it

# repaired: the brace was not closed, and the request sent the text '{"workspace_id": 5}' instead.
metadata = {"workspace_id": workspace_id}

# repaired: url and headers were made, but not given, and the answer was not read as JSON.
response = requests.post(
    url,
    headers=headers,
    files=[
        ("file", ("api_inference_orchestration.zip", fp, "application/octet-stream")),
        ("metadata", ("metadata", json.dumps(metadata), "application/json")),
    ],
).json()
fp.close()

orchestration_id = response["id"]
print("uploaded:", list(response))

# --- List orchestrations by workspace --------------------------------------------------------------------------------------------

# repaired: the guide has no snippet here. A task may be made at once, but this is how to see that the orchestration is ready.
while True:
    orchestrations = requests.post(f"{APIURL}/v1/api/orchestration/list", headers=headers, json={"workspace_id": workspace_id}).json()
    if orchestrations[0]["status"] in ("ready", "error"):
        break
    time.sleep(0.1)

orchestration_sha = orchestrations[0]["sha"]
print("listed:", orchestrations[0]["file_name"], orchestrations[0]["status"])

# --- Run a task once -------------------------------------------------------------------------------------------------------------

# repaired: the brace was not closed, and the snippet had no url. The guide calls a name required, but leaves it out: both will do.
data = {
    "workspace_id": workspace_id,
    "orch_id": orchestration_id,
    "json": {},
}

url = f"{APIURL}/v1/api/task/run_once"
response = requests.post(url, headers=headers, json=data).json()

task_id = response["id"]
print("run once:", list(response))

# --- Run a task on a schedule ----------------------------------------------------------------------------------------------------

# repaired: the brace and the url as before. The guide's heading says run_once here, its table run_scheduled, which is right;
# and it counts the fields of a schedule from the hour, but cron's first field is the minute.
data = {
    "workspace_id": workspace_id,
    "orch_id": orchestration_id,
    "schedule": "*/1 * * * *",
    "json": {},
}

url = f"{APIURL}/v1/api/task/run_scheduled"
response = requests.post(url, headers=headers, json=data).json()

scheduled_task_id = response["id"]
print("run scheduled:", list(response))

# --- Get a task by its id --------------------------------------------------------------------------------------------------------

# repaired: the brace and the url as before. The first answer may be earlier than the run's end: it is asked again until then.
data = {
    "id": task_id,
}

url = f"{APIURL}/v1/api/task/get_by_id"
while True:
    response = requests.post(url, headers=headers, json=data).json()
    if response["last_runs"] and response["last_runs"][-1]["status"] != "running":
        break
    time.sleep(0.1)

pprint.pp(response)

# --- Get tasks by the orchestration's SHA ----------------------------------------------------------------------------------------

# repaired: the brace and the url as before.
data = {
    "sha": orchestration_sha,
}

url = f"{APIURL}/v1/api/task/get_tasks_by_orch_sha"
response = requests.post(url, headers=headers, json=data).json()
print("tasks of these bytes:", len(response["ids"]))

# --- List tasks in a workspace ---------------------------------------------------------------------------------------------------

# repaired: the brace and the url as before. The guide calls workspace_id a string, but sends the number that it is.
data = {
    "workspace_id": workspace_id,
}

url = f"{APIURL}/v1/api/task/list"
response = requests.post(url, headers=headers, json=data).json()
print("tasks:", [task["run_type"] for task in response])

# --- Kill a task -----------------------------------------------------------------------------------------------------------------

# repaired: the brace and the url as before.
data = {
    "id": scheduled_task_id,
}

url = f"{APIURL}/v1/api/task/kill"
response = requests.post(url, headers=headers, json=data).json()
print("killed:", response["status"], response["schedule"])

# --- Task runs and their logs ----------------------------------------------------------------------------------------------------

# repaired: here the guide's text breaks off. These two calls are how its readers see what became of a run.
url = f"{APIURL}/v1/api/task/list_task_runs"
runs = requests.post(url, headers=headers, json={"task_id": task_id}).json()

url = f"{APIURL}/v1/api/task/get_logs_for_run"
logs = requests.post(url, headers=headers, json={"id": runs[0]["run_id"]}).json()["logs"]
print("log:", runs[0]["status"], [line.split(" ", 3)[3] for line in logs])

server.close()
wl.close()
scratch.cleanup()
