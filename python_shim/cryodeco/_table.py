"""The option table, as the library tells it, made into signatures, docstrings and the stubs."""
import inspect
import json
import textwrap
from typing import Any, Callable, Dict, FrozenSet, List

_TYPES = {"bool": "bool", "int": "int", "real": "float", "text": "StrPath"}
# Given by position, or meant for a terminal.
_ELSEWHERE = {"run": {"particles", "outdir", "dry_run"}, "analyze": {"outdir", "json"}, "info": {"particles", "json"},
              "simulate": {"from", "outdir", "json"}}


def table() -> List[Dict[str, Any]]:
    """All rows."""
    from . import _cryodeco  # here, so that the build can use this file before there is one

    rows: List[Dict[str, Any]] = json.loads(_cryodeco.command("options", ["--json"], _cryodeco.watch())[0] or "[]")
    return rows


def options_of(function: str, rows: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """Those that a function takes by name, in the table's order."""
    command = "run" if function == "check" else function
    return [r for r in rows if command in r["commands"].split(", ") and r["name"] not in _ELSEWHERE[command]]


def type_of(row: Dict[str, Any]) -> str:
    """The type of an option as it stands in a stub."""
    if row["type"] == "choice":
        return "Literal[" + ", ".join(repr(c) for c in row["choices"]) + "]"
    if "word" in row:
        return f"Union[int, Literal[{row['word']!r}]]"
    if row["type"] == "list":
        return "Union[StrPath, float, Sequence[Union[StrPath, float]]]"
    return _TYPES[row["type"]]


def default_of(row: Dict[str, Any]) -> Any:
    """Its default; None where there is none."""
    value = row["default"]
    return int(value) if row["type"] == "int" and value is not None else value


class _Signature(inspect.Signature):
    """Knows every option, for whoever completes names; prints itself short, because a hundred names on a line are no help."""

    def __str__(self) -> str:
        named = [str(p.replace(annotation=inspect.Parameter.empty)) for p in self.parameters.values() if p.name not in self._options]
        star = next((i for i, p in enumerate(self.parameters.values()) if p.kind is inspect.Parameter.KEYWORD_ONLY), len(named))
        return "(" + ", ".join(named[:star] + ["*"] * (star < len(named)) + named[star:] + ["**options"]) + ")"

    def format(self, **_: Any) -> str:
        return str(self)

    _options: FrozenSet[str] = frozenset()


def describe(function: Callable[..., Any], rows: List[Dict[str, Any]]) -> None:
    """Puts the options of the command of its name into a function's signature and docstring."""
    rows = options_of(function.__name__, rows)
    plain = inspect.signature(function)
    kept = [p for p in plain.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    named = [inspect.Parameter(r["name"], inspect.Parameter.KEYWORD_ONLY, default=default_of(r), annotation=type_of(r)) for r in rows]
    signature = _Signature(kept + named, return_annotation=plain.return_annotation)
    signature._options = frozenset(r["name"] for r in rows)
    function.__signature__ = signature  # type: ignore[attr-defined]
    function.__doc__ = inspect.cleandoc(function.__doc__ or "") + "\n\nOptions" + "".join(_words(rows))


def _words(rows: List[Dict[str, Any]]) -> List[str]:
    lines, group = [], None
    for r in rows:
        if r["group"] != group:
            group = r["group"]
            lines.append(f"\n  {group}\n")
        low, high = r.get("minimum", r.get("exclusive_minimum")), r.get("maximum", r.get("exclusive_maximum"))
        facts = ["|".join(r["choices"]) if "choices" in r else r["type"]]
        if low is not None or high is not None:
            facts.append((f"{r['word']}|" if "word" in r else "") + f"{'' if low is None else f'{low:.16g}'}..{'' if high is None else f'{high:.16g}'}")
        facts += [r["unit"]] if r["unit"] else []
        facts += [f"default {default_of(r)}"] if r["default"] is not None else []
        lines.append(f"    {r['name']} [{', '.join(facts)}]\n" + textwrap.fill(r["help"], 110, initial_indent=" " * 8, subsequent_indent=" " * 8)
                     + "\n")
    return lines
