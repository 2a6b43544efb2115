"""What looks like a secret is in no text that is stored or printed; what does not, stays."""

from __future__ import annotations

import json
import shlex
import traceback
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hpo.common.redact import HIDDEN, masked, redact, redact_all, without_secrets
from hpo.errors import StorageError
from hpo.storage import open_storage


@pytest.mark.parametrize(
    ("arguments", "kept"),
    [
        (["/home/ada/train.py", "--lr", "0.1"], ["train.py", "--lr", "0.1"]),
        (["t", "--api-token", "abc", "--lr", "1"], ["t", "--api-token", HIDDEN, "--lr", "1"]),
        (["t", "--password=abc", "DB_PASSWORD=abc"], ["t", f"--password={HIDDEN}", f"DB_PASSWORD={HIDDEN}"]),
        (["t", "--secret", "--lr", "1"], ["t", "--secret", "--lr", "1"]),
        (["t", "postgresql+psycopg://ada:abc@db/hpo"], ["t", f"postgresql+psycopg://ada:{HIDDEN}@db/hpo"]),
        (["t", "--url=https://ada:abc@host/x"], ["t", f"--url=https://ada:{HIDDEN}@host/x"]),
        (["t", "--tokenizer", "bert"], ["t", "--tokenizer", "bert"]),
        (["t", "--api-key", "-S3", "--lr", "1"], ["t", "--api-key", HIDDEN, "--lr", "1"]),
        (["t", "--token", "--lr=1"], ["t", "--token", "--lr=1"]),
        (["t", "--pw", "abc", "-p", "abc"], ["t", "--pw", HIDDEN, "-p", HIDDEN]),
        (["t", "-p", "8080", "-p", "data/a.csv", "-p", "{p}"], ["t", "-p", "8080", "-p", "data/a.csv", "-p", "{p}"]),
        (["t", "-u", "ada:abc", "--user", "ada"], ["t", "-u", f"ada:{HIDDEN}", "--user", "ada"]),
        (["t", "-H", "Authorization: Bearer abc"], ["t", "-H", f"Authorization: Bearer {HIDDEN}"]),
        (
            ["t", "-H", "X-Api-Key: abc", "-H", "Accept: text"],
            ["t", "-H", f"X-Api-Key: {HIDDEN}", "-H", "Accept: text"],
        ),
        (
            ["sh", "-c", "mkdir -p out && t --token abc | tee o"],
            ["sh", "-c", f"mkdir -p out && t --token {HIDDEN} | tee o"],
        ),
        ([], []),
    ],
)
def test_command_lines_are_kept_without_what_looks_like_a_secret(arguments: Sequence[str], kept: Sequence[str]) -> None:
    assert without_secrets(arguments) == kept


@pytest.mark.parametrize(
    "name",
    [
        *("key", "token", "password", "passwd", "pass", "secret", "secrets", "auth", "credential", "credentials"),
        *("private-key", "license-key", "api_key", "apikey", "apiKey", "api-keys", "access_key_id", "ssh-key"),
        *("access_token", "access-tokens", "hf_token", "hfToken", "HF_TOKEN", "GITHUBTOKEN", "token2", "wandb.api_key"),
        *("client_secret", "clientSecret", "PGPASSWORD", "db.password", "auth-header", "oauth", "Authorization"),
        *("key_value", "key-dimension", "token_lengthy", "otp"),
    ],
)
def test_options_that_name_a_secret_are_masked(name: str) -> None:
    for option in (f"--{name}", f"-{name}"):
        assert without_secrets(["t", option, "S3CRET", "b"]) == ["t", option, HIDDEN, "b"]
        assert without_secrets(["t", f"{option}=S3=CRET", "b"]) == ["t", f"{option}={HIDDEN}", "b"]
    assert without_secrets(["t", f"{name}=S3CRET", "b"]) == ["t", f"{name}={HIDDEN}", "b"]


@pytest.mark.parametrize(
    "name",
    [
        *("max_tokens", "max-new-tokens", "maxTokens", "n_tokens", "tokens", "tokenizer", "tokenize", "author"),
        *("authors", "keys", "keypoints", "monkey", "keyboard", "compass", "bypassed", "lr"),
        *("key-dim", "keySize", "token_count", "token-type-ids", "num_key_value_heads", "pass_rate"),
    ],
)
def test_other_options_are_kept(name: str) -> None:
    for words in ([f"--{name}", "512"], [f"--{name}=512"], [f"{name}=512"]):
        assert without_secrets(["t", *words]) == ["t", *words]


def test_placeholders_of_a_template_are_kept() -> None:
    template = ["python", "t.py", "--max_tokens", "{n}", "--token", "{data.t}", "--key={k}", ["--api-key", "{a}"]]
    assert masked(template) == template
    assert masked(["t", "--url", "https://ada:{pw}@host", "--token", "x{t}"]) == (
        ["t", "--url", "https://ada:{pw}@host", "--token", HIDDEN]
    )


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("postgresql://u:a/b@h/db", f"postgresql://u:{HIDDEN}@h/db"),
        ("postgresql://u:a:b?c@h/db", f"postgresql://u:{HIDDEN}@h/db"),
        ("postgresql://h/db?user=u&password=abc", f"postgresql://h/db?user=u&password={HIDDEN}"),
        ("postgresql://h/db?sslmode=require&foo=abc", f"postgresql://h/db?sslmode=require&foo={HIDDEN}"),
        ("mysql+pymysql://u:a@b@h/db", f"mysql+pymysql://u:{HIDDEN}@h/db"),
        ("redis://:abc@h:6379/0", f"redis://:{HIDDEN}@h:6379/0"),
        ("cannot reach https://abc@github.com/x.git now", f"cannot reach https://{HIDDEN}@github.com/x.git now"),
        ("https://abc:x-oauth-basic@github.com", f"https://{HIDDEN}:x-oauth-basic@github.com"),
        ("https://x/y?token=abc&a=1", f"https://x/y?token={HIDDEN}&a=1"),
        ("https://x.blob/c?sv=1&sig=abc", f"https://x.blob/c?sv=1&sig={HIDDEN}"),
        ("https://x/cb#access_token=abc&s=1", f"https://x/cb#access_token={HIDDEN}&s=1"),
        (
            "s3://b/k?X-Amz-Credential=abc&X-Amz-Signature=d",
            f"s3://b/k?X-Amz-Credential={HIDDEN}&X-Amz-Signature={HIDDEN}",
        ),
        ("--proxy ada:abc@proxy:3128", f"--proxy ada:{HIDDEN}@proxy:3128"),
        ("host=h user=u password=abc", f"host=h user=u password={HIDDEN}"),
        ("host=h password='a b' user=u", f"host=h password='{HIDDEN}' user=u"),
        ("host=h password = a\\ b user=u", f"host=h password = {HIDDEN} user=u"),
        ('{"api_key":"abc","lr":1}', f'{{"api_key":"{HIDDEN}","lr":1}}'),
        ('{"db": {"user": "u", "password": "a\\"b"}}', f'{{"db": {{"user": "u", "password": "{HIDDEN}"}}}}'),
        ("{'api_keys': ['a', 'b'], 'n': 2}", f"{{'api_keys': {HIDDEN}, 'n': 2}}"),
        ("password: abc", f"password: {HIDDEN}"),
        ("authorization: basic YTpi", f"authorization: basic {HIDDEN}"),
        ("curl -u ada:abc https://h", f"curl -u ada:{HIDDEN} https://h"),
        ("TOKEN=abc python t.py", f"TOKEN={HIDDEN} python t.py"),
        ("t --token 'a b' --lr 1", f"t --token '{HIDDEN}' --lr 1"),
        ("sh -c 'train --lr 0.1 --api-key abc'", f"sh -c 'train --lr 0.1 --api-key {HIDDEN}'"),
        ("docker run --env=TOKEN=abc -e LR=1 image", f"docker run --env=TOKEN={HIDDEN} -e LR=1 image"),
        ('CMD="TOKEN=abc run" LR=1', f'CMD="TOKEN={HIDDEN} run" LR=1'),
        ("mysql -p abc -h db", f"mysql -p {HIDDEN} -h db"),
        ("pushed with sk-proj-a1b2c3d4 and ghp_0123456789", f"pushed with {HIDDEN} and {HIDDEN}"),
        ("eyJhbGciOiJI.eyJzdWIi.c2ln", HIDDEN),
        ("ya29.a0AfB_byC1d2e3f4g5h6", HIDDEN),
        ("a -----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- b", f"a {HIDDEN} b"),
        ("cut: -----BEGIN PRIVATE KEY-----\nabc", f"cut: {HIDDEN}"),
    ],
)
def test_secrets_in_text_are_hidden(text: str, kept: str) -> None:
    assert redact(text) == kept
    assert redact(kept) == kept


@pytest.mark.parametrize(
    "text",
    [
        "Ada <ada@example.org>, started 12:30@lab",
        "KeyError: 'lr'",
        "unexpected token: } in line 3",
        "max_tokens=512 keypoints=17 --tokenizer bert n_keys=3",
        "git@github.com:ada/net.git",
        "ssh://git@github.com/ada/net.git",
        "postgresql://ada@db:5432/hpo?sslmode=require&application_name=x",
        "postgresql+psycopg://user@host/database, with @ : / ? in a password written as %40",
        "http://localhost:8080/a@b?page=2&q=x",
        "http://[::1]:8080/a@b",
        "sqlite:////home/ada/a:b@c.db",
        "/data/2026-01-01T12:00:00/x.csv",
        "docker run -p 8080:80 -u 1000:1000 image",
        "mkdir -p out/run && tar -p -xf a.tar",
        "Basic usage of the bearer of news",
        "sk-learn 1.7, scikit-learn",
        "postgresql://ada:{pw}@db/hpo --token {t} key={k}",
        "accuracy 0.9 > 0.5: the best of 3",
    ],
)
def test_other_text_is_kept(text: str) -> None:
    assert redact(text) == text


SECRETS = st.text("0123456789abcXYZ/:?#,;'!$%+=-_.~()[]", min_size=1, max_size=20).map(
    lambda text: f"S3CRET{text}S3CRET"
)
NAMES = st.sampled_from(["password", "token", "api_key", "apiKey", "DB_PASSWORD", "client-secret", "pw", "hf_token"])


@given(NAMES, SECRETS)
def test_no_secret_with_a_name_survives(name: str, secret: str) -> None:
    json_text = json.dumps({"a": 1, name: secret, "b": [1]})
    for arguments in (
        ["t", f"--{name}", secret, "--lr", "1"],
        ["t", f"--{name}", f"-{secret}"],
        ["t", f"--{name}={secret}"],
        ["t", f"{name}={secret}"],
        ["t", json_text],
        ["t", "--config", json_text],
        ["t", f"--config={json_text}"],
        ["sh", "-c", f"{name.replace('-', '_')}={shlex.quote(secret)} t --lr 1"],
        ["sh", "-c", f"t --lr 1 --{name} {shlex.quote(secret)} > log"],
        ["t", f"--env={name}={secret}"],
    ):
        assert "S3CRET" not in " ".join(without_secrets(arguments)), arguments
    assert redact_all({"run": [{name: secret, "lr": 0.1, "n": None}]}) == {
        "run": [{name: HIDDEN, "lr": 0.1, "n": None}]
    }


@given(SECRETS, st.sampled_from(["postgresql", "postgresql+psycopg", "mysql", "redis"]))
def test_no_password_of_a_database_survives(secret: str, scheme: str) -> None:
    for text in (
        f"{scheme}://ada:{secret}@db.host/hpo",
        f"no answer from {scheme}://ada:{secret}@db.host/hpo: timeout",
    ):
        assert "S3CRET" not in redact(text)
        assert "db.host/hpo" in redact(text)


@pytest.mark.parametrize("piece", ["x", "a-", "-p ", "x=", '"a', "://", "--a "])
def test_long_texts_without_a_secret_are_looked_through_once(piece: str) -> None:
    """A pattern that looks at each place of them again would not come to an end here."""
    text = piece * (2_000_000 // len(piece))
    assert len(redact(text)) == len(text)


@given(st.text())
def test_hiding_twice_is_hiding_once(text: str) -> None:
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg://u:{}@127.0.0.1:1/d?foo={}", "postgresql://u:a@{}@h/d", "no://u:{}@h/d"]
)
def test_no_error_of_a_storage_shows_a_password(url: str) -> None:
    pytest.importorskip("psycopg")
    secret = "".join(["hun", "ter2"])
    with pytest.raises(StorageError) as caught:
        open_storage(url.format(secret, secret))
    assert secret not in "".join(traceback.format_exception(caught.value))
