"""Makes the modules of the benchmark importable: they are not a package and import each other from their folder."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
