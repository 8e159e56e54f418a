import wallaroo

wl = wallaroo.Client()

if wl.in_task():
    arguments = wl.task_args()
else:
    arguments = {"name": "nobody"}

print(f"Hello, {arguments.get('name', 'world')}!")
