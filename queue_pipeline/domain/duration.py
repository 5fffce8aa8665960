"""A length of time as people read it."""


def duration(seconds: float) -> str:
    """Seconds as people read them: `12 ms`, `12.3 s`, `4 min 05 s`, `3 h 20 min`."""
    if abs(seconds) < 0.95:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    return f"{minutes // 60} h {minutes % 60:02d} min"
