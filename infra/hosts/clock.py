"""How far a host's clock is off."""


def off(before: float, there: float, after: float) -> float:
    """Seconds that a host's time is outside of a call's, whose begin and end this machine measured.

    A call takes time, so a host is believed wherever in it its answer may have been.
    """
    return round(max(before - there, there - after, 0.0), 1)
