"""The order in which letters of both directions stand in a line (Unicode Standard Annex #9).

Without embeddings, overrides and isolates, which `lines.cleaned` takes out: one level run per
paragraph, marks (LRM, RLM, ALM) included. Rule names in comments are the annex's.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence

_PAIRS = {"(": ")", "[": "]", "{": "}", "⟨": "⟩", "⟦": "⟧", "⁅": "⁆"}
_OPENS = {closing: opening for opening, closing in _PAIRS.items()}
_NEUTRAL = frozenset({"B", "S", "WS", "ON"})
_STRONG = frozenset({"L", "R"})
_JOIN_NUMBERS = frozenset({("CS", "EN"), ("CS", "AN"), ("ES", "EN")})
_DEEPEST_BRACKETS = 63  # BD16
_FROM_RIGHT = frozenset({"ar", "ckb", "dv", "fa", "he", "iw", "ps", "sd", "ug", "ur", "yi"})


def right_to_left(language: str) -> bool:
    """Say whether a language (BCP 47) is written from right to left."""
    return language.partition("-")[0].lower() in _FROM_RIGHT


def turns(text: str) -> bool:
    """Say whether any of it is written from right to left."""
    return any(unicodedata.bidirectional(one) in {"R", "AL", "AN"} for one in text)


def levels(text: str, *, from_right: bool) -> list[int]:
    """Return the embedding level of each character of a paragraph; odd is right to left."""
    base = 1 if from_right else 0
    classes = [unicodedata.bidirectional(one) or "L" for one in text]
    shown = [at for at, one in enumerate(classes) if one != "BN"]  # X9
    characters = [text[at] for at in shown]
    resolved = _resolved([classes[at] for at in shown], characters, "R" if base else "L")
    found = [base] * len(text)
    for at, one in zip(shown, resolved, strict=True):
        found[at] = base + _above(one, base)
    for at, one in enumerate(classes):
        if one == "BN" and at:
            found[at] = found[at - 1]
    return found


def visual(start: int, levels_: Sequence[int]) -> list[tuple[int, int, bool]]:
    """Return the runs of a line from left to right: start, end, and whether it goes backwards.

    `levels_` are those of the line's characters, the first of which is number `start` (L2).
    """
    runs: list[tuple[int, int, int]] = []
    for at, level in enumerate(levels_, start):
        if runs and runs[-1][2] == level:
            runs[-1] = (runs[-1][0], at + 1, level)
        else:
            runs.append((at, at + 1, level))
    for level in range(max(levels_, default=0), 0, -1):
        runs = list(_reversed(runs, level))
    return [(first, end, level % 2 == 1) for first, end, level in runs]


def _reversed(runs: list[tuple[int, int, int]], least: int) -> Iterable[tuple[int, int, int]]:
    held: list[tuple[int, int, int]] = []
    for run in runs:
        if run[2] >= least:
            held.append(run)
            continue
        yield from reversed(held)
        held = []
        yield run
    yield from reversed(held)


def _above(resolved: str, base: int) -> int:
    if base == 0:  # I1
        return {"L": 0, "R": 1}.get(resolved, 2)
    return 0 if resolved == "R" else 1  # I2


def _resolved(classes: list[str], characters: list[str], base: str) -> list[str]:
    given = list(classes)
    _weak(classes, base)
    _brackets(classes, characters, given, base)
    _neutral(classes, base)
    return classes


def _weak(classes: list[str], base: str) -> None:
    before = base
    for at, one in enumerate(classes):  # W1
        classes[at] = before = before if one == "NSM" else one
    _after_strong(
        classes, base, lambda one, strong: "AN" if one == "EN" and strong == "AL" else one
    )
    classes[:] = ["R" if one == "AL" else one for one in classes]  # W3
    for at in range(1, len(classes) - 1):  # W4
        left, one, right = classes[at - 1 : at + 2]
        if left == right and (one, left) in _JOIN_NUMBERS:
            classes[at] = left
    for start, end in _stretches(classes, frozenset({"ET"})):  # W5
        if "EN" in {*classes[max(start - 1, 0) : start], *classes[end : end + 1]}:
            classes[start:end] = ["EN"] * (end - start)
    classes[:] = ["ON" if one in {"ES", "ET", "CS"} else one for one in classes]  # W6
    _after_strong(classes, base, lambda one, strong: "L" if one == "EN" and strong == "L" else one)


def _after_strong(classes: list[str], base: str, rule: Callable[[str, str], str]) -> None:
    """Apply a rule to each class and the last strong one before it (W2, W7)."""
    strong = base
    for at, one in enumerate(classes):
        if one in {"L", "R", "AL"}:
            strong = one
        classes[at] = rule(one, strong)


def _brackets(classes: list[str], characters: list[str], given: list[str], base: str) -> None:
    """Let brackets follow what stands in them (N0)."""
    for opening, closing in _bracket_pairs(classes, characters):
        inside = {_side(one) for one in classes[opening + 1 : closing]} & _STRONG
        if not inside:
            continue
        side = base
        if base not in inside:
            earlier = (_side(one) for one in reversed(classes[:opening]))
            side = next((one for one in earlier if one in _STRONG), base)
        for at in (opening, closing):
            classes[at] = side
            for mark in range(at + 1, len(classes)):
                if given[mark] != "NSM":
                    break
                classes[mark] = side


def _bracket_pairs(classes: list[str], characters: list[str]) -> list[tuple[int, int]]:
    stack: list[tuple[str, int]] = []
    pairs = []
    for at, one in enumerate(characters):
        if classes[at] != "ON":
            continue
        if one in _PAIRS:
            if len(stack) == _DEEPEST_BRACKETS:
                return []
            stack.append((_PAIRS[one], at))
        elif one in _OPENS:
            depth = next((n for n in reversed(range(len(stack))) if stack[n][0] == one), None)
            if depth is not None:
                pairs.append((stack[depth][1], at))
                del stack[depth:]
    return sorted(pairs)


def _neutral(classes: list[str], base: str) -> None:
    for start, end in _stretches(classes, _NEUTRAL):
        left = _side(classes[start - 1]) if start else base
        right = _side(classes[end]) if end < len(classes) else base
        classes[start:end] = [left if left == right else base] * (end - start)  # N1, N2


def _side(resolved: str) -> str:
    return "R" if resolved in {"EN", "AN"} else resolved


def _stretches(classes: list[str], of: frozenset[str]) -> list[tuple[int, int]]:
    """Return where stretches of these classes begin and end."""
    found: list[tuple[int, int]] = []
    for at, one in enumerate(classes):
        if one not in of:
            continue
        if found and found[-1][1] == at:
            found[-1] = (found[-1][0], at + 1)
        else:
            found.append((at, at + 1))
    return found
