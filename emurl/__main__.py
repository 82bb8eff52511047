"""`python -m emurl` is `emurl`."""

import sys

from emurl.cli import main

sys.exit(main())
