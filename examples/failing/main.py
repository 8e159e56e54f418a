import sys

print("about to fail")
print("this goes to standard error", file=sys.stderr)
raise RuntimeError("the warehouse is closed")
