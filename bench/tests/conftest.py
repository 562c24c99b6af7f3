"""Adds the folder of the benchmark to the import path, because the benchmark's modules are not a package."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
