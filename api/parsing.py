import json
from typing import Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser

NO_JSON = "What was sent is not JSON, is nested too deeply, or has half of a character."


class Parser(JSONParser):
    """JSON. What is nested too deeply is refused like what is no JSON at all, and so is half of a character.

    Such as `"\\ud800"`: no sentence that repeats it can be written.
    """

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        try:
            sent = super().parse(*args, **kwargs)
            json.dumps(sent, ensure_ascii=False).encode()
        except (RecursionError, json.JSONDecodeError, UnicodeEncodeError):
            raise ParseError(NO_JSON) from None
        return sent
