"""What the host of the desktop bundle starts: a server on the folder that its user chose, made a project by it."""

import os
import sys
from contextlib import redirect_stdout

from workdocket.surfaces.cli import main

folder = sys.argv[1]
with redirect_stdout(sys.stderr):  # standard output is for the protocol
    main(["init", folder], standalone_mode=False)
os.chdir(folder)
main(["serve", *sys.argv[2:]])
