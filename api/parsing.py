import json
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class Parser(JSONParser):
    """JSON. What is nested too deeply is refused like what is no JSON at all."""

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().parse(*args, **kwargs)
        except (RecursionError, json.JSONDecodeError):
            raise ParseError("What was sent is not JSON, or is nested too deeply.") from None
