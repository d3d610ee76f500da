"""Which addresses are of the public internet, and what an endpoint's URL may be."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.addresses import is_public, may_reach, require_public, require_url
from domain.errors import ErrorCode, TeikiError

OURS = [
    *("0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1"),
    *("172.31.255.255", "192.168.1.1", "192.0.2.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1"),
    *("255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "fec0::1"),
    *("ff02::1", "::ffff:10.0.0.1", "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::a9fe:a9fe"),
    *("64:ff9b:1::a00:1", "2002:7f00:1::", "2001:db8::1", "not an address", ""),
]


@pytest.mark.parametrize("address", OURS)
def test_addresses_that_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "::1", "fd12::1"])
def test_our_own_networks_may_be_allowed(address):
    assert may_reach(address, allow_private=True)
    assert not may_reach(address, allow_private=False)


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "fe80::1", "fd00:ec2::254", "100.100.100.200", "224.0.0.1", "0.0.0.0", "::"),
        *("255.255.255.255", "::ffff:127.0.0.1", "64:ff9b::a9fe:a9fe", "nonsense"),
    ],
)
def test_metadata_multicast_and_disguises_are_never_allowed(address):
    assert not may_reach(address, allow_private=True)


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "172.15.0.1", "172.32.0.1", "2606:4700::1111"])
def test_addresses_that_are(address):
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_in_the_clothes_of_ipv6_is_no_more_public_than_itself(address):
    inner = int(address)
    clothes = (
        ipaddress.IPv6Address((0xFFFF << 32) | inner),
        ipaddress.IPv6Address((0x2002 << 112) | (inner << 80)),
        ipaddress.IPv6Address((0x64FF9B << 96) | inner),
    )
    for dressed in clothes:
        assert not is_public(str(dressed)) or is_public(str(address))


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://shop.example/hook", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("shop.example/hook", "scheme"),
        ("https://", "url"),
        ("https://shop.example/#part", "url"),
        ("https://shop.example./hook", "url"),
        ("https://shop.example/a b", "url"),
        ("https://shop.example\\@127.0.0.1/", "url"),
        ("https://ショップ.example/", "url"),
        ("https://shop.example:99999/", "url"),
        ("https://[::1/", "url"),
        ("https://shop.example/" + "x" * 500, "url"),
        ("https://user@shop.example/", "credentials"),
        ("https://user:pass@shop.example/", "credentials"),
        ("https://shop.example:22/", "port"),
        ("https://shop.example:0/", "port"),
        ("https://shop.example:5432/", "port"),
        ("https://127.0.0.1/", "address"),
        ("https://[::1]/", "address"),
        ("https://169.254.169.254/latest/meta-data", "address"),
        ("https://[::ffff:10.0.0.1]/", "address"),
    ],
)
def test_what_is_no_endpoint(url, why):
    with pytest.raises(TeikiError) as refused:
        require_url(url, allow_private=False)
    assert (refused.value.code, refused.value.facts["why"]) == (ErrorCode.ENDPOINT_REFUSED, why)


@pytest.mark.parametrize(
    "url",
    ["https://shop.example", "https://shop.example:8443/a?b=c", "https://8.8.8.8/", "https://xn--a.example/"],
)
def test_what_is_one(url):
    assert require_url(url, allow_private=False).hostname


def test_plain_http_and_loopback_are_for_those_who_allow_them():
    assert require_url("http://127.0.0.1:8900/hook", allow_private=True).port == 8900
    with pytest.raises(TeikiError):
        require_url("http://user@127.0.0.1/", allow_private=True)


def test_one_private_address_among_public_ones_is_enough_to_refuse():
    require_public(["8.8.8.8", "1.1.1.1"], allow_private=False)
    for addresses, why in ((["8.8.8.8", "10.0.0.1"], "address"), ([], "unresolved")):
        with pytest.raises(TeikiError) as refused:
            require_public(addresses, allow_private=False)
        assert refused.value.facts["why"] == why
    require_public(["127.0.0.1"], allow_private=True)
