import os
import sys

from steps import clean, total

numbers = clean(["3", "", "4", "x", "5"])
print(f"total {total(numbers)}")
print(f"modules come from {os.path.basename(sys.path[0])}/, files are read from the bundle's root: {sorted(os.listdir('.'))}")
