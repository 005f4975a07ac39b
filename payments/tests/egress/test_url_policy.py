"""Which URLs and addresses of merchants may be called."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from payments.services.egress.ip_policy import is_callable
from payments.services.egress.url_policy import TargetRefused, UrlPolicy, target_of

STRICT = UrlPolicy()
LOOPBACK = UrlPolicy(loopback=True)

NOT_URLS = (
    *(
        "http://hooks.example.com/",
        "HTTP://hooks.example.com/",
        "//hooks.example.com/",
        "/hook",
        "",
    ),
    *("file:///etc/passwd", "gopher://hooks.example.com/", "javascript:alert(1)", "ftp://a.com/"),
    *("https://user@hooks.example.com/", "https://user:word@hooks.example.com/", "https://@a.com/"),
    *("https://hooks.example.com/#fragment", "https://hooks.example.com\\@127.0.0.1/"),
    *("https://hooks.example.com/\t", "https://hooks.example.com/\r\nHost: x", "https://a b.com/"),
    *("https://hooks.example.com/ü", "https://hooks.exämple.com/", "https:hooks.example.com"),
    *("https://hooks.example.com/" + "x" * 2048, "https://", "https:///hook", "https://:443/"),
    *("https://hooks.example.com:x/", "https://hooks.example.com:99999/", "https://[::1/"),
)
PORTS = (1, 22, 25, 80, 110, 3306, 5432, 6379, 8080, 9200, 11211, 65535)
HOSTS = (
    *("127.0.0.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "①②⑦.0.0.1"),
    "0.0.0.0",  # noqa: S104  (called, not bound)
    *("[::1]", "[::ffff:127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::]", "[::]"),
    *("169.254.169.254", "[fd00:ec2::254]", "168.63.129.16", "100.64.0.1", "100.100.100.200"),
    *("10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "224.0.0.1", "255.255.255.255"),
    *("[ff02::1]", "[fe80::1]", "[fe80::1%25eth0]", "[::127.0.0.1]", "[2001:db8::1]", "[good.com]"),
    *("localhost", "localhost.", "LOCALHOST", "redis", "db", "postgres", "a.localhost"),
    *("metadata.google.internal", "printer.local", "0", "1", "0x0", "0.0", "127.0.0.1.", "1.2.3"),
    *("192.0.2.1", "198.18.0.1", "203.0.113.5", "240.0.0.1", "256.1.1.1", "1.2.3.4.5", "00.0.0.0"),
    *("hooks.example.com.", "-a.com", "a-.com", "a..com", "a_b.com", "x" * 64 + ".com"),
    *("127.0.0.0x1", "192.88.99.1", "[2001::1]", "[100::1]", "[5f00::1]", "[3fff::1]", "[fec0::1]"),
)


@pytest.mark.parametrize("url", NOT_URLS)
def test_a_url_that_is_not_plain_https_is_refused(url: str) -> None:
    with pytest.raises(TargetRefused):
        target_of(url, STRICT)


@pytest.mark.parametrize("port", PORTS)
def test_other_ports_are_refused(port: int) -> None:
    with pytest.raises(TargetRefused, match="443, 8443"):
        target_of(f"https://hooks.example.com:{port}/", STRICT)


def test_a_good_url_is_read_once_and_for_all() -> None:
    target = target_of("https://Hooks.Example.com:8443/in?a=1&b=%20", STRICT)
    assert (target.host, target.port) == ("hooks.example.com", 8443)
    assert target.path == "/in?a=1&b=%20"
    assert target_of("https://xn--exmple-cua.com", STRICT).path == "/"
    assert target_of("https://8.8.8.8/", STRICT).address == ip_address("8.8.8.8")
    assert target_of("https://[2606:4700::1111]/", STRICT).port == 443
    assert target_of("http://localhost:3000/hook", LOOPBACK).scheme == "http"
    with pytest.raises(TargetRefused):
        target_of("http://hooks.example.com:3000/", LOOPBACK)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("1.1.1.1", True),
        ("172.32.0.1", True),
        ("100.128.0.1", True),
        ("2606:4700::1111", True),
        ("2a00:1450::1", True),
        ("100.127.255.255", False),
        ("::ffff:8.8.8.8", False),
        ("64:ff9b::808:808", False),
        ("2002:808:808::", False),
        ("2001:0:1::1", False),
        ("ff0e::1", False),
        ("198.51.100.7", False),
    ],
)
def test_our_list_classifies_public_addresses(address: str, expected: bool) -> None:
    assert is_callable(ip_address(address)) is expected


def test_further_networks_can_be_denied() -> None:
    networks = (ip_network("8.8.8.0/24"), ip_network("2606:4700::/32"))
    for address in ("8.8.8.8", "2606:4700::1111"):
        assert is_callable(ip_address(address))
        assert not is_callable(ip_address(address), also_denied=networks)
    with pytest.raises(TargetRefused):
        target_of("https://8.8.8.8/", UrlPolicy(denied_networks=networks))
