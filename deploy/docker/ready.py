"""The health check of the image: exits with 0 when the server in this container answers that it is ready.

Python's own HTTP client, because the image has no curl, and because it asks no proxy on the way.
"""

import http.client
import os
import sys

PORT = int(os.environ.get("FACECRAFT_PORT", "8000"))


def main() -> int:
    """Return 0 when the server of this container is ready, and 1 otherwise."""
    connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=8)
    try:
        connection.request("GET", "/ready")
        reply = connection.getresponse()
        sys.stdout.write(reply.read(2000).decode("utf-8", "replace") + "\n")
    except OSError as error:
        sys.stdout.write(f"{error}\n")
        return 1
    return 0 if reply.status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())
