"""What the tools answer: pure functions of the arguments, so that every gold call can be executed.

Numbers that a real service would look up come from a checksum of the arguments.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any

Arguments = Mapping[str, Any]
Result = dict[str, Any]
Mock = Callable[[Arguments], Result]

ERRORS = ("not_found", "not_allowed", "closed")
"""Errors that a second try does not remove."""
BUSY: Result = {"error": "busy", "retry": True}
"""An error that a second try removes."""

EUROS = {"EUR": 1.0, "USD": 0.9, "GBP": 1.2, "JPY": 0.006, "CHF": 1.05, "TRY": 0.025}
METERS = {"meter": 1.0, "kilometer": 1000.0, "mile": 1609.344, "foot": 0.3048, "inch": 0.0254}


def run(tool: str, arguments: Arguments) -> Result:
    """The result of a call.

    Raises:
        KeyError: If the library has no such tool, or a required argument is missing.
    """
    return MOCKS[tool](arguments)


def _draw(arguments: Arguments, low: int, high: int, salt: str = "") -> int:
    text = json.dumps(arguments, sort_keys=True, ensure_ascii=False) + salt
    return low + zlib.crc32(text.encode()) % (high - low + 1)


def _code(key: str, letter: str) -> Mock:
    return lambda arguments: {key: f"{letter}{_draw(arguments, 100, 999, letter)}"}


def _degrees(arguments: Arguments) -> Result:
    celsius = _draw(arguments, -9, 35)
    return {"temperature": celsius if arguments.get("unit") != "fahrenheit" else round(celsius * 1.8 + 32)}


def _time(arguments: Arguments) -> Result:
    return {"time": f"{_draw(arguments, 10, 23)}:{_draw(arguments, 10, 59, 'time')}"}


def _convert(table: Mapping[str, float], amount: float, arguments: Arguments) -> float:
    return round(amount * table[arguments["from"]] / table[arguments["to"]], 2)


def _contact(arguments: Arguments) -> Result:
    digits = _draw(arguments, 1000, 9999)
    street = ("Park Street", "River Road", "School Street", "Market Street")[digits % 4]
    return {"phone": f"08{digits}", "email": f"user{digits % 100}@mail.com", "street": f"{street} {digits % 9 + 1}"}


def _words(arguments: Arguments) -> Result:
    syllables = ("la", "mo", "ti", "re", "nu", "sa")
    picks = [syllables[_draw(arguments, 0, 5, str(place))] for place in range(4)]
    return {"result": f"{picks[0]}{picks[1]} {picks[2]}{picks[3]}"}


_DONE = (
    "set_alarm set_timer set_reminder send_message send_email call_number add_contact add_meeting cancel_meeting "
    "set_volume set_light set_heating"
).split()
MOCKS: dict[str, Mock] = {
    **dict.fromkeys(_DONE, lambda arguments: {"status": "ok"}),
    **dict.fromkeys(("get_weather", "get_forecast"), _degrees),
    **dict.fromkeys(("book_table", "book_hotel", "book_taxi"), _code("booking", "B")),
    **dict.fromkeys(("find_trains", "track_order"), _time),
    "get_air_quality": lambda arguments: {"index": _draw(arguments, 1, 99)},
    "book_flight": _code("ticket", "T"),
    "find_flights": lambda arguments: _code("flight", "F")(arguments) | {"price": _draw(arguments, 40, 400)},
    "convert_currency": lambda arguments: {"result": _convert(EUROS, arguments["amount"], arguments)},
    "get_exchange_rate": lambda arguments: {"rate": _convert(EUROS, 1.0, arguments)},
    "convert_units": lambda arguments: {"result": _convert(METERS, arguments["value"], arguments)},
    "find_contact": _contact,
    "play_music": lambda arguments: {"song": _words(arguments)["result"].title()},
    "add_to_list": lambda arguments: {"total": len(arguments["items"]) + _draw(arguments, 1, 9)},
    "order_food": _code("order", "R"),
    "translate_text": _words,
}
