"""Telephone numbers in what people write. Only whether and which; nobody is called from here."""

import re

_NUMBER = re.compile(r"(?<![\w.,:/-])(\+|00)?\(?\d[\d\s().\-/]{5,20}\d(?![\w:]|[.,]\d)")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[./]\d{1,2}[./]\d{2,4}|\d{1,2}[.-]\d{1,2}[.-]\d{4}")
_DIGITS_MIN, _DIGITS_MAX = 7, 15
_TEXT_CHANNELS = {"sms", "whatsapp", "phone", "call"}


def phone_in(text: str) -> str | None:
    """The first telephone number in the text, as digits with a leading + if it had one; None without."""
    for match in _NUMBER.finditer(text):
        written = match.group().strip()
        digits = re.sub(r"\D", "", written)
        in_groups = max(len(group) for group in re.findall(r"\d+", written)) > 1
        if in_groups and _DIGITS_MIN <= len(digits) <= _DIGITS_MAX and not _DATE.search(written):
            return f"+{digits}" if written.startswith("+") else digits
    return None


def is_phone(address: str | None, channel: str) -> bool:
    """Whether the address of a message is itself a number that can be called."""
    if address is None or "@" in address:
        return False
    digits = re.sub(r"[\s().+-]", "", address)
    return (
        digits.isdigit()
        and _DIGITS_MIN <= len(digits) <= _DIGITS_MAX
        and (channel in _TEXT_CHANNELS or address.startswith("+"))
    )
