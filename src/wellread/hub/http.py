"""One GET over http or https: redirects, proxies and certificates by our rules, each fault in its own words."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import SplitResult, urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3 import exceptions
from urllib3.response import BaseHTTPResponse
from urllib3.util import Timeout, make_headers, parse_url

from wellread.hub.http_errors import FaultError

CONNECT_TIMEOUT = 10.0  # seconds
READ_TIMEOUT = 60.0  # seconds without a byte
MAX_REDIRECTS = 10
REDIRECTS = (301, 302, 303, 307, 308)
# No content coding: what is stored is what the server's checksums are of.
OWN_HEADERS = {"Accept": "*/*", "Accept-Encoding": "identity", "User-Agent": "wellread"}


@contextmanager
def opened(url: str, *, headers: Mapping[str, str], more: Mapping[str, str]) -> Iterator[BaseHTTPResponse]:
    """Ask for `url`, follow its redirects, and give the answer that is none, whatever its status.

    `headers` may hold a token: they are sent to the scheme, host and port of `url` and to no other; `more` goes along.

    Raises: FaultError where no answer comes, or a redirect leads from https to http, to no address or in a circle.
    """
    address = url
    for _ in range(MAX_REDIRECTS + 1):
        own = headers if _origin(address) == _origin(url) else {}
        with _pool(address) as pool:
            response = _ask(pool, address, {**OWN_HEADERS, **own, **more})
            try:
                if response.status not in REDIRECTS:
                    yield response
                    return
                address = _redirected(response, address)
            finally:
                response.close()
    raise FaultError("other", f"over {MAX_REDIRECTS} redirects, the last to {_host(address)}", "check the address")


def post_json(url: str, payload: Any, *, headers: Mapping[str, str], most: int) -> tuple[int, bytes]:
    """Send `payload` as JSON to `url` itself, no redirect followed; return the status and at most `most` bytes.

    Raises: FaultError where no answer comes, or a longer one.
    """
    checked(url)
    body = json.dumps(payload).encode()
    own = {**OWN_HEADERS, "Accept": "application/json", "Content-Type": "application/json", **headers}
    timeout = Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT)
    with _pool(url) as pool, urllib3_faults(url):
        answer = pool.request(
            "POST", url, body=body, headers=own, timeout=timeout, retries=False, redirect=False, preload_content=False
        )
        try:
            content = answer.read(most + 1, decode_content=True)
        finally:
            answer.close()
    if len(content) > most:
        raise FaultError("other", f"an answer of over {most:,} bytes", "check the address")
    return answer.status, content


def checked(url: str) -> SplitResult:
    """Return the parts of an http or https address. Raises: FaultError for what is none, or holds a password."""
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        parts, named = urlsplit(""), False
    if parts.scheme not in ("http", "https") or not named or not url.isprintable() or " " in url:
        raise FaultError("other", "no address of http or https", "check the address")
    if parts.username is not None or parts.password is not None:
        raise FaultError("other", "a user name or password in the address", "send it in a header")
    return parts


def without_password(url: str) -> str:
    """Return an address as messages print it, without a password.

    >>> without_password("https://me:secret@host/file")
    'https://host/file'
    """
    return re.sub(r"//[^/@]*@", "//", url)


def _origin(address: str) -> tuple[str, str, int | None]:
    parts = urlsplit(address)
    return parts.scheme, parts.hostname or "", parts.port


def _host(address: str) -> str:
    return urlsplit(address).netloc


def _pool(address: str) -> urllib3.PoolManager:
    """Return a pool that goes through the proxy that the environment names for an address, if any."""
    parts = checked(address)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or proxy_bypass(parts.netloc):
        return urllib3.PoolManager(**_certificates())
    try:
        named = parse_url(proxy if "://" in proxy else f"http://{proxy}")
        signed_in = make_headers(proxy_basic_auth=named.auth) if named.auth else None
        return urllib3.ProxyManager(named._replace(auth=None).url, proxy_headers=signed_in, **_certificates())
    except exceptions.HTTPError as error:
        raise FaultError(
            "other", f"a proxy that cannot be used ({error})", "check HTTPS_PROXY and HTTP_PROXY"
        ) from error


def _certificates() -> dict[str, Any]:
    """Say where certificates are trusted from; without REQUESTS_CA_BUNDLE OpenSSL knows, and heeds SSL_CERT_FILE."""
    bundle = os.environ.get("REQUESTS_CA_BUNDLE")
    if not bundle:
        return {}
    return {"ca_cert_dir" if os.path.isdir(bundle) else "ca_certs": bundle}


def _ask(pool: urllib3.PoolManager, address: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
    timeout = Timeout(connect=CONNECT_TIMEOUT, read=READ_TIMEOUT)
    with urllib3_faults(address):
        return pool.request("GET", address, headers=headers, timeout=timeout, retries=False, preload_content=False)


@contextmanager
def urllib3_faults(address: str) -> Iterator[None]:
    """Raise what urllib3 raises as a FaultError."""
    host = _host(address)
    try:
        yield
    except exceptions.NameResolutionError as error:
        raise FaultError("unreached", f"no host {host}", "check the address and the network") from error
    except exceptions.ProxyError as error:
        advice = "check HTTPS_PROXY and HTTP_PROXY"
        raise FaultError("unreached", f"that the proxy did not answer ({error.original_error})", advice) from error
    except exceptions.SSLError as error:
        advice = "check the clock, or name the certificates to trust in SSL_CERT_FILE"
        raise FaultError("other", f"that {host} could not prove who it is ({error})", advice) from error
    except (exceptions.NewConnectionError, exceptions.ConnectTimeoutError) as error:
        raise FaultError("unreached", f"no connection to {host} ({_why(error)})", "check the network") from error
    except exceptions.ReadTimeoutError as error:
        raise FaultError("cut", f"no byte in {READ_TIMEOUT:g} seconds", "try again later") from error
    except (exceptions.LocationValueError, UnicodeError, ValueError) as error:
        raise FaultError("other", f"a request that cannot be made ({error})", "check the address") from error
    except exceptions.HTTPError as error:
        raise FaultError("cut", "that the connection broke off", "try again later") from error


def _why(error: exceptions.HTTPError) -> str:
    """Return the operating system's reason for a failed connection, or the time that was waited."""
    cause = error.__cause__ or error.__context__
    return getattr(cause, "strerror", None) or f"{CONNECT_TIMEOUT:g} seconds without an answer"


def _redirected(response: BaseHTTPResponse, address: str) -> str:
    target = response.headers.get("Location")
    if not target:
        raise FaultError("other", f"a redirect from {_host(address)} to nowhere", "check the address")
    following = urljoin(address, target)
    if checked(following).scheme == "http" and urlsplit(address).scheme == "https":
        found = f"a redirect from https to http, at {_host(following)}, where anybody could change the file"
        raise FaultError("other", found, "get the file from another source")
    return following
