"""Where the broker is, and secrets that stay secret."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.parts.mosquitto import self_made_certificate
from edgecam.mqtt.address import Broker, parse_broker
from edgecam.mqtt.secrets import read_password, tls_context
from edgecam.sinks.mqtt import Mqtt
from edgecam_engines.errors import OutputError

BROKER = Broker("host", 1883, False, "cam", "edgecam")


@pytest.mark.parametrize(
    ("uri", "broker"),
    [
        ("mqtt://host", Broker("host", 1883, False, None, "edgecam")),
        ("mqtts://host", Broker("host", 8883, True, None, "edgecam")),
        ("mqtt://cam@host:99/plant/line-1/", Broker("host", 99, False, "cam", "plant/line-1")),
        ("mqtt://a%40b@10.0.0.1/x%20y", Broker("10.0.0.1", 1883, False, "a@b", "x y")),
        ("mqtts://[::1]:8884", Broker("::1", 8884, True, None, "edgecam")),
    ],
)
def test_an_address_says_host_port_user_and_prefix(uri: str, broker: Broker) -> None:
    assert parse_broker(uri) == broker


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "host",
        "http://host",
        "mqtt://",
        "mqtt://host:0x10",
        "mqtt://host:70000",
        "mqtt://[::1",
        "mqtt://host/a#b",
        "mqtt://host/?qos=1",
        "mqtt://host/a+b",
        "mqtt://host/a/%23",
        "mqtt://host/a//b",
        "mqtt://host/$SYS",
    ],
)
def test_what_is_no_address_is_refused_with_one_that_is(uri: str) -> None:
    with pytest.raises(OutputError, match="--mqtt mqtt://user@host:1883/edgecam"):
        parse_broker(uri)


@given(st.text("abcdefgh!$&'()*,;=.~", min_size=5))
def test_a_password_in_the_address_is_refused_and_never_repeated(secret: str) -> None:
    with pytest.raises(OutputError) as caught:
        parse_broker(f"mqtt://cam:{secret}xyzzy@host/edgecam")
    assert "xyzzy" not in str(caught.value)
    assert "--mqtt-password-file" in str(caught.value)
    assert "EDGECAM_MQTT_PASSWORD" in str(caught.value)


def written(path: Path, content: bytes, mode: int = 0o600) -> Path:
    path.write_bytes(content)
    path.chmod(mode)
    return path


def test_a_password_comes_from_its_file_before_the_environment(tmp_path: Path) -> None:
    file = written(tmp_path / "secret", b" with spaces \n")
    environ = {"EDGECAM_MQTT_PASSWORD": "other"}
    assert read_password(BROKER, file, environ) == " with spaces "
    assert read_password(BROKER, None, environ) == "other"
    assert read_password(BROKER, None, {"EDGECAM_MQTT_PASSWORD": ""}) is None
    assert read_password(BROKER, None, {}) is None


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o666])
def test_a_password_file_that_others_may_open_is_refused(mode: int, tmp_path: Path) -> None:
    file = written(tmp_path / "secret", b"sesame", mode)
    with pytest.raises(OutputError, match=f"chmod 600 {file}") as caught:
        read_password(BROKER, file, {})
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", bytes(5000)])
def test_a_password_file_that_holds_no_password_is_refused(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="password file"):
        read_password(BROKER, written(tmp_path / "secret", content), {})


def test_a_password_file_that_is_absent_or_no_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(OutputError, match="--mqtt-password-file FILE"):
            read_password(BROKER, path, {})


def test_a_password_without_a_user_is_refused() -> None:
    with pytest.raises(OutputError, match="mqtt://USER@host:1883/edgecam"):
        read_password(BROKER._replace(user=None), None, {"EDGECAM_MQTT_PASSWORD": "sesame"})


def test_tls_always_checks_the_certificate_and_the_name(tmp_path: Path) -> None:
    import ssl

    made = self_made_certificate(tmp_path, "host")
    for ca in (None, made.certificate):
        context = tls_context(BROKER._replace(tls=True), ca)
        assert context is not None
        assert context.check_hostname
        assert context.verify_mode is ssl.CERT_REQUIRED
    assert tls_context(BROKER, None) is None


def test_an_authority_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    tls = BROKER._replace(tls=True)
    with pytest.raises(OutputError, match="--mqtt-ca FILE"):
        tls_context(tls, tmp_path / "nowhere")
    with pytest.raises(OutputError, match="--mqtt-ca FILE"):
        tls_context(tls, written(tmp_path / "ca", b"no certificate"))
    with pytest.raises(OutputError, match="mqtts://host/edgecam"):
        tls_context(BROKER, tmp_path / "ca")


def test_without_the_library_it_says_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "paho.mqtt.enums", None)
    with pytest.raises(OutputError, match=r"pip install 'edgecam\[mqtt\]'"):
        Mqtt("mqtt://host", print, environ={})
