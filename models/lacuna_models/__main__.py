"""``python -m lacuna_models``."""

import sys

from lacuna_models.cli import main

sys.exit(main())
