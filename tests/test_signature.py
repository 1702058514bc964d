"""Signatures are those of Standard Webhooks; whatever is not exactly what was signed is refused, by a name."""

from __future__ import annotations

import base64
import hmac
import subprocess

import pytest
from hypothesis import given, strategies as st

from staticify.errors import SignatureRefused
from staticify.signature import (
    ID_FIELD,
    MAX_SECRET_BYTES,
    MIN_SECRET_BYTES,
    SIGNATURE_FIELD,
    TIMESTAMP_FIELD,
    TOLERANCE_SECONDS,
    Secret,
    check,
    parse_secret,
    sign,
)

NOW = 1_763_900_000.5
OLD, NEW, STRANGE = (Secret(bytes([number]) * 32) for number in range(3))
BODY = b'{"type": "changes", "data": {"site": "https://example.org/"}}'


def refusal(secrets: list[Secret], fields: dict[str, str], body: bytes = BODY, now: float = NOW) -> str:
    with pytest.raises(SignatureRefused) as caught:
        check(secrets, fields, body, now)
    return caught.value.name


# --- Signing and checking --------------------------------------------------------------------------------------------


def test_the_example_of_the_standard() -> None:
    # https://github.com/standard-webhooks/standard-webhooks, the tests of its libraries.
    secret = parse_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    assert sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, body) == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


@given(
    content=st.binary(min_size=MIN_SECRET_BYTES, max_size=MAX_SECRET_BYTES),
    message_id=st.from_regex(r"[A-Za-z0-9._-]{1,64}", fullmatch=True),
    now=st.floats(min_value=0, max_value=1e11),
    body=st.binary(max_size=500),
)
def test_what_is_signed_is_believed(content: bytes, message_id: str, now: float, body: bytes) -> None:
    secret = Secret(content)
    assert check([secret], sign([secret], message_id, now, body), body, now) == message_id


@pytest.mark.parametrize("signers", [[OLD], [NEW], [OLD, NEW], [NEW, OLD], [STRANGE, NEW]])
@pytest.mark.parametrize("readers", [[OLD, NEW], [NEW, OLD]])
def test_one_secret_in_common_is_enough(signers: list[Secret], readers: list[Secret]) -> None:
    assert check(readers, sign(signers, "a", NOW, BODY), BODY, NOW) == "a"


def test_other_versions_of_signatures_are_passed_over() -> None:
    fields = sign([OLD], "a", NOW, BODY)
    good = fields[SIGNATURE_FIELD]
    assert check([OLD], {**fields, SIGNATURE_FIELD: f"v1a,AAAA {good} v2,BBBB"}, BODY, NOW) == "a"
    assert refusal([OLD], {**fields, SIGNATURE_FIELD: good.replace("v1,", "v2,")}) == "forged"


@pytest.mark.parametrize("field", [ID_FIELD, TIMESTAMP_FIELD, SIGNATURE_FIELD])
def test_a_missing_field_is_unsigned(field: str) -> None:
    fields = sign([OLD], "a", NOW, BODY)
    assert refusal([OLD], {**fields, field: ""}) == "unsigned"
    del fields[field]
    assert refusal([OLD], fields) == "unsigned"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (ID_FIELD, "a b"),
        (ID_FIELD, "a\n"),
        (ID_FIELD, "a" * 65),
        (ID_FIELD, "ä"),
        (ID_FIELD, "a.b, a.b"),
        (TIMESTAMP_FIELD, "1763900000.5"),
        (TIMESTAMP_FIELD, "-1"),
        (TIMESTAMP_FIELD, "+1763900000"),
        (TIMESTAMP_FIELD, " 1763900000"),
        (TIMESTAMP_FIELD, "1763900000\n"),
        (TIMESTAMP_FIELD, "1_763_900_000"),
        (TIMESTAMP_FIELD, "١٧٦٣٩٠٠٠٠٠"),
        (TIMESTAMP_FIELD, "1" * 13),
        (TIMESTAMP_FIELD, "nan"),
    ],
)
def test_what_cannot_be_an_id_or_a_time_stamp(field: str, value: str) -> None:
    assert refusal([OLD], {**sign([OLD], "a", NOW, BODY), field: value}) == "malformed"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (ID_FIELD, "b"),
        (TIMESTAMP_FIELD, "1763900001"),
        (TIMESTAMP_FIELD, "01763900000"),
        (SIGNATURE_FIELD, "v1,"),
        (SIGNATURE_FIELD, "v1,\ud800"),
        (SIGNATURE_FIELD, "v1,é"),
        (SIGNATURE_FIELD, " "),
    ],
)
def test_what_was_not_signed_is_forged(field: str, value: str) -> None:
    assert refusal([OLD], {**sign([OLD], "a", NOW, BODY), field: value}) == "forged"


def test_a_signature_counts_in_its_one_spelling_only() -> None:
    fields = sign([OLD], "a", NOW, BODY)
    good = fields[SIGNATURE_FIELD]
    # 32 bytes leave two bits of the last character unused: base64 decoders take four spellings for one.
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = alphabet.index(good[-2])
    spellings = [good[:-2] + alphabet[last // 4 * 4 + low] + "=" for low in range(4)]
    decoded = {base64.b64decode(spelling.removeprefix("v1,")) for spelling in spellings}
    others = [spelling for spelling in spellings if spelling != good]
    assert (len(decoded), len(others)) == (1, 3)
    for other in (*others, good.rstrip("="), f"{good}=", good.replace("v1,", "v1, "), good.lower(), good.upper()):
        assert refusal([OLD], {**fields, SIGNATURE_FIELD: other}) == "forged"


def test_another_body_is_forged() -> None:
    fields = sign([OLD], "a", NOW, BODY)
    assert {refusal([OLD], fields, body) for body in (b"", BODY[:-1], BODY + b" ", BODY.upper())} == {"forged"}


def test_no_secret_believes_nothing() -> None:
    assert refusal([], sign([OLD], "a", NOW, BODY)) == "forged"
    assert refusal([STRANGE], sign([OLD, NEW], "a", NOW, BODY)) == "forged"


@pytest.mark.parametrize(
    ("skew_seconds", "verdict"),
    [
        (0, ""),
        (TOLERANCE_SECONDS, ""),
        (TOLERANCE_SECONDS + 1, "too-new"),
        (-TOLERANCE_SECONDS, ""),
        (-TOLERANCE_SECONDS - 1, "too-old"),
        (-(10**9), "too-old"),
        (10**11, "too-new"),
    ],
)
def test_the_time_stamp_may_be_five_minutes_off(skew_seconds: float, verdict: str) -> None:
    now = float(int(NOW))
    fields = sign([OLD], "a", now + skew_seconds, BODY)
    if verdict:
        assert refusal([OLD], fields, now=now) == verdict
    else:
        assert check([OLD], fields, BODY, now) == "a"


@pytest.mark.parametrize("place", [0, 1, 2, None])
def test_every_comparison_is_made_and_each_in_constant_time(place: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    original = hmac.compare_digest

    def counting(first: bytes, second: bytes) -> bool:
        compared.append((first, second))
        return original(first, second)

    monkeypatch.setattr("staticify.signature.hmac.compare_digest", counting)
    fields = sign([OLD], "a", NOW, BODY)
    signatures = [f"v1,{base64.b64encode(bytes([number]) * 32).decode()}" for number in range(3)]
    if place is not None:
        signatures[place] = fields[SIGNATURE_FIELD]
    fields[SIGNATURE_FIELD] = " ".join(signatures)
    if place is None:
        assert refusal([OLD, NEW], fields) == "forged"
    else:
        assert check([OLD, NEW], fields, BODY, NOW) == "a"
    assert len(compared) == 2 * 3, "wherever the good one stands"


def test_only_so_many_signatures_are_looked_at() -> None:
    fields = sign([OLD], "a", NOW, BODY)
    fields[SIGNATURE_FIELD] = "v1,AAAA " * 16 + fields[SIGNATURE_FIELD]
    assert refusal([OLD], fields) == "forged"


# --- Secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [MIN_SECRET_BYTES, 32, MAX_SECRET_BYTES])
def test_a_secret_is_read(size: int) -> None:
    content = bytes(range(size))
    assert parse_secret("whsec_" + base64.b64encode(content).decode()) == Secret(content)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n",
        "whsec_MfKQ9r8GKYqr TwjUPD8ILPZIo2LaLaSw",
        "whsec_geheimnisgeheimnisgeheimnisgehäim",
        "whsec_c2hvcnRzZWNyZXQ=",
        "whsec_" + base64.b64encode(bytes(MIN_SECRET_BYTES - 1)).decode(),
        "whsec_" + base64.b64encode(bytes(MAX_SECRET_BYTES + 1)).decode(),
    ],
)
def test_what_is_no_secret_is_said_without_repeating_it(text: str) -> None:
    made = "be whsec_ and base64; this makes one: .* rand .*"
    with pytest.raises(ValueError, match=rf"^must ({made}|hold 24 to 64 bytes, this one holds \d+)$"):
        parse_secret(text)


def test_what_is_said_to_make_a_secret_makes_one() -> None:
    with pytest.raises(ValueError, match="this makes one: ") as caught:
        parse_secret("whsec_...")
    command = str(caught.value).partition("this makes one: ")[2]
    made = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True).stdout
    assert len(parse_secret(made.removesuffix("\n")).content) == 32


def test_a_secret_does_not_print() -> None:
    secret = Secret(b"0123456789abcdef01234567")
    assert {repr(secret), str(secret), f"{secret}"} == {"Secret(...)"}
    assert "0123" not in repr([secret])
    assert "0123" not in repr({"secrets": (secret,)})
