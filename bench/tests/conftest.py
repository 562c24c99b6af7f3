"""The benchmark is no package: its modules import each other from its folder, and so do its tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
