"""Links that carry their own permission: version 4 of Amazon's signatures, in the query of an address.

obstore signs addresses, too, but without the parameters that give the reply its media type and its file name. The
algorithm is the one of https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from facecraft.storage.blobs import check_key, check_media_type

LONGEST_SECONDS = 604_800
"""A link works for a week at most: the limit of the algorithm."""

_ALGORITHM = "AWS4-HMAC-SHA256"
_SERVICE = "s3"
_UNSAFE = re.compile(r'[^\x20-\x7e]|["\\%]')
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f/\\\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class LinkSigner:
    """Signs links to the objects of one bucket."""

    root: str
    """Address of the bucket, without a slash at its end."""
    region: str
    access_key: str
    secret_key: str

    def link(self, key: str, seconds: int, *, filename: str, media_type: str, now: datetime | None = None) -> str:
        """Return an address that answers GET for ``seconds`` from ``now`` on.

        Raises ValueError for a malformed key or media type and for a time outside 1..604800 seconds.
        """
        asked = {
            "response-content-disposition": attachment(filename),
            "response-content-type": check_media_type(media_type),
        }
        return self.sign(f"/{check_key(key)}", seconds, asked, now or datetime.now(UTC))

    def sign(self, path: str, seconds: int, asked: dict[str, str], now: datetime) -> str:
        """Return the signed address of ``path`` in the bucket with the parameters ``asked``.

        Raises ValueError for a time outside 1..604800 seconds.
        """
        if not 1 <= seconds <= LONGEST_SECONDS:
            raise ValueError(f"a link works between 1 and {LONGEST_SECONDS} seconds, not {seconds}")
        target = urlsplit(self.root + path)
        moment = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
        scope = f"{moment[:8]}/{self.region}/{_SERVICE}/aws4_request"
        query = {
            **asked,
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{self.access_key}/{scope}",
            "X-Amz-Date": moment,
            "X-Amz-Expires": str(seconds),
            "X-Amz-SignedHeaders": "host",
        }
        pairs = sorted((quote(name, safe="-_.~"), quote(value, safe="-_.~")) for name, value in query.items())
        written = "&".join(f"{name}={value}" for name, value in pairs)
        address = quote(target.path, safe="/-_.~")
        request = "\n".join(("GET", address, written, f"host:{target.netloc}", "", "host", "UNSIGNED-PAYLOAD"))
        text = "\n".join((_ALGORITHM, moment, scope, hashlib.sha256(request.encode()).hexdigest()))
        key = f"AWS4{self.secret_key}".encode()
        for part in (*scope.split("/"), text):
            key = hmac.digest(key, part.encode(), hashlib.sha256)
        return f"{target.scheme}://{target.netloc}{address}?{written}&X-Amz-Signature={key.hex()}"


def attachment(filename: str) -> str:
    """Return the Content-Disposition that saves a reply under ``filename`` (RFC 6266), whatever it contains.

    What could end a header, be read as a path or not be encoded is replaced; ASCII for old clients comes first.
    """
    clean = _CONTROL.sub("_", filename)[:200].strip(". ") or "file"
    plain = _UNSAFE.sub("_", clean)
    shown = f'attachment; filename="{plain}"'
    return shown if plain == clean else f"{shown}; filename*=UTF-8''{quote(clean, safe='-_.~')}"
