"""web: one GET to hosts that are not there, lead elsewhere, stand behind a proxy or cannot prove who they are."""

import base64
import shutil
import socket
import ssl
import subprocess
import threading

import pytest
from downloads import CONTENT, came, ranges, refused
from fault_server import Fault, Faulty, Files
from hub_server import serving

from wellread.errors import DownloadError
from wellread.hub import download as module
from wellread.hub import http
from wellread.hub.download import download

TOKEN = {"Authorization": "Bearer secret"}


# No server


def free_port():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


def test_a_host_that_is_not_there_is_named_at_once(path, monkeypatch):
    monkeypatch.setattr(module, "PAUSES", (60.0,))
    refused(path, "http://host.invalid/a", "no host host.invalid", "check the address and the network")
    host = f"127.0.0.1:{free_port()}"
    refused(path, f"http://{host}/a", f"no connection to {host} (Connection refused)", "check the network")


def test_a_connection_that_does_not_come_about_is_named(path, monkeypatch):
    monkeypatch.setattr(http, "CONNECT_TIMEOUT", 0.05)
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        host = f"127.0.0.1:{full.getsockname()[1]}"
        waiting = [socket.socket() for _ in range(4)]
        for other in waiting:  # none is ever accepted
            other.setblocking(False)
            other.connect_ex(full.getsockname())
        found = f"no connection to {host} (0.05 seconds without an answer)"
        refused(path, f"http://{host}/a", found, "check the network")
        for other in waiting:
            other.close()


@pytest.mark.parametrize(
    "url", ["ftp://host/a", "file:///etc/passwd", "a", "", "http://", "http://h:x/", "http://h/\n", "http://[/"]
)
def test_what_is_no_address_is_named(path, url):
    refused(path, url, "no address of http or https", "check the address")


def test_a_password_in_an_address_is_refused_and_not_printed(path):
    with pytest.raises(DownloadError) as error:
        download("https://me:secret@host/a", path)
    found = "a user name or password in the address; send it in a header"
    assert str(error.value) == f"https://host/a was to be fetched; found {found}"


def test_a_header_that_cannot_be_sent_is_named(server, path):
    with pytest.raises(DownloadError, match="found a request that cannot be made .*; check the address$"):
        download(server.put("/a.bin", CONTENT), path, headers={"Authorization": "a\nb"})


# Other hosts


def test_headers_do_not_follow_to_another_host(server, path):
    server.put("/a.bin", CONTENT)
    for start, target in ("/same", server.address), ("/other", server.elsewhere):
        server.faults[start] = [Fault(always=True, redirect=target + "/a.bin")]
        came(path, server.address + start, headers={**TOKEN, "X-Own": "secret"})
    same, there, other, elsewhere = server.seen
    assert same["Authorization"] == there["Authorization"] == other["Authorization"] == TOKEN["Authorization"]
    assert elsewhere["Host"].startswith("localhost")
    assert not {"Authorization", "X-Own"} & elsewhere.keys()
    assert elsewhere["User-Agent"] == "wellread"


def test_a_part_is_gone_on_with_behind_a_redirect(server, path):
    server.put("/a.bin", CONTENT, Fault(cut=100))
    server.faults["/start"] = [Fault(always=True, redirect=server.elsewhere + "/a.bin")]
    came(path, server.address + "/start", headers=TOKEN)
    assert ranges(server)[-1] == "bytes=100-"
    assert [request.get("Authorization") for request in server.seen] == [TOKEN["Authorization"], None] * 2


def test_redirects_in_a_circle_are_named(server, path):
    server.faults["/a"] = [Fault(always=True, redirect="/a")]
    host = server.address.removeprefix("http://")
    refused(
        path, server.address + "/a", f"over {http.MAX_REDIRECTS} redirects, the last to {host}", "check the address"
    )
    assert len(server.seen) == http.MAX_REDIRECTS + 1


def test_a_redirect_to_nowhere_is_named(server, path):
    host = server.address.removeprefix("http://")
    server.faults["/a"] = [Fault(redirect="")]
    refused(path, server.address + "/a", f"a redirect from {host} to nowhere", "check the address")
    server.faults["/a"] = [Fault(redirect="file:///etc/passwd")]
    refused(path, server.address + "/a", "no address of http or https", "check the address")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for this machine that nobody has signed."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    place = tmp_path_factory.mktemp("certificate")
    making = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    files = ["-keyout", str(place / "key.pem"), "-out", str(place / "cert.pem")]
    subprocess.run([*making.split(), *names, *files], check=True, capture_output=True)
    return place


@pytest.fixture
def secure(certificate):
    """The same server over https."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")

    class Secure(Faulty):
        def setup(self):
            self.request = context.wrap_socket(self.request, server_side=True)
            super().setup()

        def finish(self):
            super().finish()
            self.request.close()

    files = Files()
    handler = type("OwnSecure", (Secure,), {"files": files, "lock": threading.Lock()})
    with serving(handler) as address:
        files.address = address.replace("http:", "https:")
        yield files


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
def test_https_with_certificates_of_our_own(secure, certificate, path, monkeypatch, variable):
    monkeypatch.setenv(variable, str(certificate / "cert.pem"))
    came(path, secure.put("/a.bin", CONTENT))


def test_https_does_not_become_http(secure, server, certificate, path, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    secure.faults["/a"] = [Fault(redirect=server.put("/a.bin", CONTENT))]
    host = server.address.removeprefix("http://")
    found = f"a redirect from https to http, at {host}, where anybody could change the file"
    refused(path, secure.address + "/a", found, "get the file from another source")
    assert not server.seen
    server.faults["/b"] = [Fault(redirect=secure.put("/a.bin", CONTENT))]
    came(path, server.address + "/b")  # the other way is fine


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_certificate_that_is_not_trusted_is_named(secure, path, capfd):
    url = secure.put("/a.bin", CONTENT)
    with pytest.raises(DownloadError) as error:
        download(url, path)
    host = secure.address.removeprefix("https://")
    assert str(error.value).startswith(f"{url} was to be fetched; found that {host} could not prove who it is (")
    assert str(error.value).endswith("); check the clock, or name the certificates to trust in SSL_CERT_FILE")


# Proxies


def test_a_proxy_is_gone_through(server, path, monkeypatch):
    monkeypatch.setenv("http_proxy", server.address.replace("http://", "http://me:secret@"))
    url = "http://host.invalid/a.bin"
    server.put(url, CONTENT)
    came(path, url)
    assert server.seen[0]["path"] == url
    assert base64.b64decode(server.seen[0]["proxy-authorization"].split()[1]) == b"me:secret"
    monkeypatch.setenv("no_proxy", "host.invalid")
    path.unlink()
    refused(path, url, "no host host.invalid", "check the address and the network")


@pytest.mark.parametrize("proxy", ["http://127.0.0.1:{}", "127.0.0.1:{}"])
def test_a_proxy_that_is_down_is_named(path, monkeypatch, proxy):
    monkeypatch.setenv("http_proxy", proxy.format(free_port()))
    with pytest.raises(DownloadError) as error:
        download("http://host.invalid/a", path)
    assert "; found that the proxy did not answer (" in str(error.value)
    assert str(error.value).endswith("; check HTTPS_PROXY and HTTP_PROXY")


def test_a_proxy_of_an_unknown_kind_is_named(path, monkeypatch):
    monkeypatch.setenv("http_proxy", "socks9://host")
    with pytest.raises(DownloadError) as error:
        download("http://host.invalid/a", path)
    assert "; found a proxy that cannot be used (" in str(error.value)
    assert str(error.value).endswith("; check HTTPS_PROXY and HTTP_PROXY")
