"""Imports of the witness, whatever the program's own files are called. Standard library only."""

import os
import sys


class StandardLibrary:
    """While this is entered, imports find the standard library and no file of the program's that has a
    module's name, such as json.py. Afterwards all is as the program left it."""

    def __init__(self, work: str) -> None:
        self._work = work

    def __enter__(self) -> None:
        own = [
            name
            for name, module in list(sys.modules.items())
            if name.partition(".")[0] in sys.stdlib_module_names and name != "__main__"
            and str(getattr(module, "__file__", None) or "").startswith(self._work)
        ]  # fmt: skip
        self._aside = {name: sys.modules.pop(name) for name in own}
        self._path = list(sys.path)
        standard = os.path.dirname(os.__file__)
        sys.path[:] = [standard, os.path.join(standard, "lib-dynload")]

    def __exit__(self, *_: object) -> None:
        sys.path[:] = self._path
        sys.modules.update(self._aside)
