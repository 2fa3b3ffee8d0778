"""The command `cryodeco` of a wheel, and `python -m cryodeco`: the program inside the package, in this process's place."""
import os
import sys


def main() -> None:
    program = os.path.join(os.path.dirname(os.path.abspath(__file__)), "bin", "cryodeco")
    if not os.path.exists(program):
        sys.exit("cryodeco: the program is not inside this package; it was installed beside it: run `cryodeco` itself")
    if sys.argv[1:2] == ["cryosparc"]:  # in this Python, which may have the client
        from .cryosparc.__main__ import main as cryosparc

        sys.exit(cryosparc(sys.argv[2:]))
    os.execv(program, ["cryodeco", *sys.argv[1:]])


if __name__ == "__main__":
    main()
