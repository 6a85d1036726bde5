"""The application: answers with what it was sent, and notes when each request began and ended. /app/N takes N ms."""

import json
import re
import time


def answer(environ, start_response):
    """One request."""
    began = time.monotonic()
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    path = environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"]
    pause = re.search(r"\d+\Z", path)
    time.sleep(int(pause.group()) / 1000 if pause else 0)
    text = json.dumps(
        {
            "server": "old",
            "method": environ["REQUEST_METHOD"],
            "path": path.encode("latin-1").decode("utf-8"),
            "query": environ["QUERY_STRING"],
            "host": environ["HTTP_HOST"],
            "client": environ["REMOTE_ADDR"],
            "scheme": environ["wsgi.url_scheme"],
            "bytes": len(body),
        }
    ).encode()
    with open("/srv/noted/" + environ["HTTP_HOST"].split(":")[0], "a") as stream:
        stream.write("%.6f %.6f\n" % (began, time.monotonic()))
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(text)))])
    return [text]


application = answer
