"""Claims of papers and what came out of them: as a list, as verdicts on a terminal, as a table for a document."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from nas.results.contrasts import MOST
from nas.results.design import Claim
from nas.search.reproduce import Reproduced
from nas.show.ablation import print_ablation
from nas.show.rows import Rows

COLUMNS = ("paper", "claim", "expected here", "verdict", "difference", "seeds", "run seconds")


def print_claims(claims: Mapping[str, Claim], console: Console) -> None:
    """Prints the claims with the time they take."""
    cells = [
        [name, claim.paper, f"{claim.minutes:g}", "quick" if claim.quick else "", claim.says]
        for name, claim in claims.items()
    ]
    Rows(["claim", "paper", "minutes", "", "what the paper says"], frozenset({"minutes"}), cells).print(console)


def print_verdicts(one: Reproduced, console: Console) -> None:
    """Prints a claim, what is different here, and all that came out."""
    claim = one.claim
    console.print(f"{one.name} ({claim.paper}, {claim.arxiv}; {claim.section})", style="bold", soft_wrap=True)
    console.print(f"says: {claim.says}\nhere: {claim.ours}", soft_wrap=True)
    print_ablation(one.ablation, console)
    console.print("")


def claim_rows(claims: Mapping[str, Claim], known: Mapping[str, Mapping[str, Any]]) -> list[dict[str, str]]:
    """A row for each expectation of each claim; one without a verdict for a claim that was not run."""
    rows = []
    for name, claim in claims.items():
        first = {"paper": f"{claim.paper} ({claim.arxiv})", "claim": f"`{name}`: {claim.says}"}
        if name not in known:
            rows.append(first | dict.fromkeys(COLUMNS[2:], "") | {"verdict": "not run"})
            continue
        of = known[name]
        for expected in of["expectations"]:
            counts = {"seeds": str(expected["n"]), "run seconds": f"{of['run_seconds']:.0f}"}
            words = {
                "expected here": expected["expected"],
                "verdict": _verdict(expected),
                "difference": _mean(expected),
            }
            rows.append(first | words | counts)
            first = dict.fromkeys(first, "")
    return rows


def _verdict(expected: Mapping[str, Any]) -> str:
    if expected["verdict"] != "undecided":
        return f"**{expected['verdict']}**"
    return f"undecided ({expected['seeds_that_would_decide'] or f'more than {MOST:,}'} seeds would decide)"


def _mean(expected: Mapping[str, Any]) -> str:
    if expected["interval"] is None:
        return ""
    low, high = expected["interval"]
    return f"{expected['mean']:+.4f} [{low:+.4f}, {high:+.4f}]"


def markdown(claims: Mapping[str, Claim], known: Mapping[str, Mapping[str, Any]]) -> str:
    """The rows as a table of Markdown, with the machines and days below."""
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    lines += [f"| {' | '.join(row[name] for name in COLUMNS)} |" for row in claim_rows(claims, known)]
    where = dict.fromkeys(f"{of['machine']}, {of['date']}" for of in known.values())
    return "\n".join([*lines, "", *(f"Run on {place}." for place in where)]) + "\n"
