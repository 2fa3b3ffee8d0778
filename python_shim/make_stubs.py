"""make_stubs.py PROGRAM PACKAGE OUTPUT: writes _commands.pyi, with a typed parameter for each option of the program's table."""
import importlib.util
import json
import pathlib
import subprocess
import sys

HEAD = """# Made by make_stubs.py from the option table; not to be edited.
import os
from typing import Any, Callable, Dict, Literal, Optional, Sequence, Union

from ._job import Progress
from ._result import Result

StrPath = Union[str, "os.PathLike[str]"]
"""
# What stands before the options, and what comes back.
FUNCTIONS = {
    "run": ("particles: Union[StrPath, Sequence[StrPath]], outdir: StrPath, *, progress: Optional[Callable[[Progress], object]] = ...",
            "Result"),
    "check": ("particles: Union[StrPath, Sequence[StrPath]], outdir: StrPath, *", "None"),
    "analyze": ("outdir: StrPath, *, progress: Optional[Callable[[Progress], object]] = ...", "Result"),
    "info": ("particles: StrPath, *", "Dict[str, Any]"),
    "simulate": ("structures: Union[StrPath, Sequence[StrPath]], outdir: StrPath, *, progress: Optional[Callable[[Progress], object]] = ...", "str"),
}


def main(program: str, package: str, output: str) -> None:
    spec = importlib.util.spec_from_file_location("_table", pathlib.Path(package) / "_table.py")
    table = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(table)
    rows = json.loads(subprocess.run([program, "options", "--json"], check=True, stdout=subprocess.PIPE).stdout)
    text = HEAD
    for name, (before, gives) in FUNCTIONS.items():
        options = [f"    {r['name']}: Optional[{table.type_of(r)}] = {table.default_of(r)!r}," for r in table.options_of(name, rows)]
        text += f"\ndef {name}(\n    {before},\n" + "\n".join(options) + f"\n) -> {gives}: ...\n"
    pathlib.Path(output).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
