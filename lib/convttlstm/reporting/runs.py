"""Names and choice of runs for tables and figures."""

from convttlstm.results import Result

STARRED = "* trained for only a few updates, or evaluated on only a few sequences: see Table 2"


def short_names(results: list[Result]) -> list[str]:
    """Return titles, with settings and seed only where two runs share them, and a star for caveats."""
    titles = [result.config.title for result in results]
    variants = [result.variant_title for result in results]
    names = []
    for result in results:
        name = result.config.title if titles.count(result.config.title) == 1 else result.variant_title
        name = name if variants.count(result.variant_title) == 1 else result.name
        names.append(f"{name} *" if result.caveat else name)
    return names


def without_short(results: list[Result]) -> tuple[list[Result], str]:
    """Return the runs that are not cut short, and a sentence if there are others, else ""."""
    left_out = list(dict.fromkeys(result.config.title for result in results if result.config.short))
    note = f"left out, as they were trained for a few updates only: {', '.join(left_out)}" if left_out else ""
    return [result for result in results if not result.config.short], note
