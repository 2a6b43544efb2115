"""Secrets in text: passwords in URLs, tokens, and the values of options and variables that are called after one.

What has no name and no known shape cannot be told from other words: a password given alone is kept as it is.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hpo.common.text import shown

HIDDEN = "***"

_SECRET = re.compile(
    r"passw|passphrase|secret|credential"
    r"|(?<![a-z])((access|account|api|auth|license|private|ssh)?key|[a-z]*token|o?auth|authorization|bearer|cookies?"
    r"|pass|pwd|pw|psw|otp|sas|jwt)(?![a-z])"
    r"(?!_(count|dims?|sizes?|len|length|limit|heads?|value_heads|rate|dropout|type)(?![a-z]))"
    r"|(?<![a-z])(access|api|auth|private)_?(keys|tokens)(?![a-z])"
)
"""What the name of a secret holds, in lower case and with `_` between its words: `hf_token`, `apikey`, `access_tokens`.
Keys and tokens count as whole words: `max_tokens`, `tokenizer`, `keypoints` and `author` are no secrets, and nor are
sizes of them: `key_dim`, `token_count`, `num_key_value_heads`."""
_SURELY = re.compile(
    r"(passw\w*|passphrase|secret|authorization|cookie|(api|access|account|private|auth)_?(key|token))$"
)
"""How such a name ends where a colon follows it: prose is full of `key: 3` and `unexpected token: x`."""
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")
_PLACEHOLDER = re.compile(r"\{[^{}]+\}")

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.\-]{0,30})://(?P<rest>\S*)")
_AUTHORITY = re.compile(r"[^/?#\s\"'<>`]*")
_WEB = ("http", "https", "git+http", "git+https", "ftp", "ftps")
"""Where a user's name alone may be a token."""
_URL_OPTION = re.compile(r"(?<=[?&#])(?P<name>[^&=#\s]+)=(?P<value>[^&#\s]+)")
_SIGNATURE = re.compile(r"(^|_)(sig|signature)$")
"""What else is secret in a web address."""
_POSTGRES_OPTION = re.compile(
    r"(fallback_)?application_name|channel_binding|client_encoding|connect_timeout|dbname|gssencmode|host|hostaddr"
    r"|keepalives\w*|krbsrvname|load_balance_hosts|options|passfile|port|prepare_threshold|replication|require_?(auth|peer)"
    r"|service|ssl(?!password)\w+|target_session_attrs|tcp_user_timeout|user"
)
"""Options of a PostgreSQL URL that hold no secret; what any other holds, nobody knows."""

_QUOTED = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'")
_WORD = re.compile(r"(?:\"(?:[^\"\\]|\\.)*\"|'[^']*'|\\.|[^\s&])+")
_JSON_VALUE = re.compile(r"\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?|\[[^\]]*\]?|[^\s,}\]{\[\"']+")
_REST = re.compile(r"[^\s\"'][^\"'\n]*")
_TOKEN = re.compile(r"[\w.~+/=\-]{4,}")
_BASE64 = re.compile(r"(?=[a-z]*[A-Z0-9])[A-Za-z0-9+/]{6,}={0,2}(?!\w)")
_KNOWN = re.compile(
    r"(?<![A-Za-z0-9])(?:sk-(?:proj-|ant-|live-|or-)?(?=[A-Za-z]*[0-9])[A-Za-z0-9]{6,}[\w\-]*|[sr]k_(?:live|test)_\w{8,}"
    r"|gh[pousr]_\w{8,}|github_pat_\w{8,}|glpat-[\w\-]{8,}|xox[abprs]-[\w\-]{8,}|hf_[A-Za-z0-9]{16,}|AKIA[A-Z0-9]{12,}"
    r"|ya29\.[\w\-]{16,}|AIza[\w\-]{20,}|npm_[A-Za-z0-9]{20,}|pypi-[\w\-]{20,}|eyJ[\w\-]{8,}\.[\w\-]+(?:\.[\w\-]*)?)"
)
"""Tokens that services begin in a way of their own."""
_PRIVATE = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL)
_PROXY = re.compile(r"(?<![\w:/@.])(?P<user>[A-Za-z][\w.\-]{0,80}):[^\s:@/]{1,200}@(?=[\w.\-]+:\d+(?![\w.]))")
"""`user:password@host:3128`."""

_OPTION_LIKE = re.compile(r"--[a-z][a-z_.\-]*(=.*)?|-[A-Za-z]")
_LOGIN = ("-u", "--user")
"""Options whose value is `user:password`, or a user alone."""
_NO_PASSWORD = re.compile(r"[\d.,:+/e\-]*|.*/.*|.*\.[A-Za-z]\w{0,4}", re.DOTALL)
"""What after `-p` is a port, a number, a folder or a file."""
_OTHER_P = ("mkdir", "cp", "rsync", "install", "tar", "pytest")
"""Programs whose `-p` takes no password."""


def redact(text: str) -> str:
    """`text` with *** for what looks like a secret: in URLs and their options, `name=value`, JSON, headers, options of
    commands, and tokens of known shape. A placeholder, `{name}`, holds none."""
    text = _URL.sub(_without_password, _PRIVATE.sub(HIDDEN, text))
    text = _PROXY.sub(rf"\g<user>:{HIDDEN}@", text)
    for form in _FORMS:
        text = _masked(text, form)
    return _KNOWN.sub(HIDDEN, text)


def redact_all(value: Any) -> Any:
    """JSON values with every text in them redacted, and texts under the name of a secret hidden."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {
            name: _hidden(inner) if isinstance(inner, str) and _is_secret_name(str(name)) else redact_all(inner)
            for name, inner in value.items()
        }
    return [redact_all(inner) for inner in value] if isinstance(value, list | tuple) else value


def without_secrets(arguments: Sequence[str]) -> list[str]:
    """A command line, its program without its folder, with *** for passwords in URLs and for the values of options and
    variables that are called token, key, password, secret or the like. A placeholder, `{name}`, holds none."""
    out: list[str] = []
    option = ""
    for i, given in enumerate(arguments):
        argument = os.path.basename(given) if i == 0 else given
        name, equals, value = argument.partition("=")
        is_value = bool(option) and not _is_next_option(argument, arguments[i + 1 :])
        if is_value:
            out.append(_value_of(option, argument))
        elif equals and not re.search(r"[\s/?:{]", name) and _is_secret_name(name):
            out.append(f"{name}={_hidden(value)}")
        else:
            out.append(redact(argument))
        is_option = not is_value and not equals and re.fullmatch(r"-\S+", argument)
        is_password = argument == "-p" and (i == 0 or arguments[i - 1] not in _OTHER_P)
        option = argument if is_option and (_is_secret_name(argument) or is_password or argument in _LOGIN) else ""
    return out


def masked(command: Sequence[str | Sequence[str]]) -> list[str | list[str]]:
    """A template of a command, with lists for groups, without its secrets; the program keeps its folder, and every
    argument that is only a placeholder stays."""
    flat = without_secrets(["", *(part if isinstance(part, str) else "-" for part in command)])[1:]
    return [
        text if isinstance(part, str) else without_secrets(["", *part])[1:]
        for part, text in zip(command, flat, strict=True)
    ]


def _is_secret_name(name: str) -> bool:
    """Whether what is called so is a secret: `--hf-token`, `DB_PASSWORD`, `apiKey`."""
    return bool(_SECRET.search(_HUMP.sub("_", name).lower()))


def _is_surely_secret(name: str) -> bool:
    return bool(_SURELY.search(_HUMP.sub("_", name).lower()))


def _takes_secret(option: str) -> bool:
    return option == "-p" or option in _LOGIN or _is_secret_name(option)


@dataclass(frozen=True)
class _Form:
    """One way of writing a name and a value."""

    name: re.Pattern[str]
    value: re.Pattern[str]
    is_secret: Callable[[str], bool]


# Names have a bound, or a long text without any would take a time that grows with its square.
_FORMS = (
    _Form(re.compile(r"(?P<name>\"[^\"\\\s]{1,80}\"|'[^'\\\s]{1,80}')\s*:\s*"), _JSON_VALUE, _is_secret_name),
    _Form(
        re.compile(r"(?P<name>[A-Za-z][\w\-]{0,80})\s{0,9}:\s*(?!//)(?:(?:bearer|basic|digest|token)\s+)?", re.I),
        _REST,
        _is_surely_secret,
    ),
    _Form(re.compile(r"\b(?P<name>bearer)\s+", re.I), _TOKEN, lambda _: True),
    _Form(re.compile(r"\b(?P<name>[Bb]asic)\s+"), _BASE64, lambda _: True),
    _Form(re.compile(r"(?P<name>[A-Za-z][\w.\-]{0,80})\s{0,9}=\s*(?!=)"), _WORD, _is_secret_name),
    _Form(re.compile(r"(?<![^\s\"'`(=])(?P<name>--?[A-Za-z][\w.\-]{0,80})\s+"), _WORD, _takes_secret),
)


def _masked(text: str, form: _Form) -> str:
    """`text` without the secrets that are written so."""
    out, at, start = "", 0, 0
    while found := form.name.search(text, start):
        start = found.end()
        name = found["name"].strip("\"'")
        value = form.value.match(text, start) if form.is_secret(name) else None
        if value is None or (
            name == "-p" and text[max(found.start() - 20, 0) : found.start()].rstrip().endswith(_OTHER_P)
        ):
            continue
        if name.startswith("-") and _OPTION_LIKE.fullmatch(value[0]):
            continue
        out += text[at:start] + _in_quotes(name, value[0])
        at = start = value.end()
    return out + text[at:]


def _in_quotes(name: str, value: str) -> str:
    """What stands for `value`, in the quotes it came in; one that closes a text around it stays too."""
    opening = value[0] if _QUOTED.fullmatch(value) else ""
    closing = value[-1] if value[-1] in "\"'`" and value.count(value[-1]) % 2 else opening
    inner = value[len(opening) : len(value) - len(closing)]
    return f"{opening}{_value_of(name, inner) if name.startswith('-') else _hidden(inner)}{closing}" if inner else value


def _without_password(found: re.Match[str]) -> str:
    """A URL without its password and its secret options."""
    scheme, rest = found["scheme"].lower(), found["rest"]
    authority = _AUTHORITY.match(rest)
    host = authority[0] if authority else ""
    last, in_host, (_, colon, port) = rest.rfind("@"), host.rfind("@"), host.partition(":")
    if in_host < 0:  # a password may hold a slash, where the host's port would be
        cut = last if colon and not (scheme in _WEB and port.isdigit()) and not host.startswith("[") else -1
    else:
        cut = in_host if scheme in _WEB or "?" in rest[:last] else last
    if cut >= 0:
        rest = f"{_user(rest[:cut], scheme)}@{rest[cut + 1 :]}"
    is_ours = scheme.split("+")[0] in ("postgresql", "postgres")
    return f"{found['scheme']}://{_URL_OPTION.sub(lambda option: _option_of_url(option, is_ours), rest)}"


def _user(info: str, scheme: str) -> str:
    name, colon, password = info.partition(":")
    if not colon:
        return _hidden(name) if scheme in _WEB else name
    if scheme in _WEB and password in ("", "x-oauth-basic"):  # then the name is the token
        return f"{_hidden(name)}:{password}"
    return f"{name}:{_hidden(password)}"


def _option_of_url(option: re.Match[str], is_ours: bool) -> str:
    name = _HUMP.sub("_", option["name"]).lower()
    is_secret = (
        not _POSTGRES_OPTION.fullmatch(name) if is_ours else _is_secret_name(name) or bool(_SIGNATURE.search(name))
    )
    return f"{option['name']}={_hidden(option['value'])}" if is_secret else option[0]


def _is_next_option(argument: str, rest: Sequence[str]) -> bool:
    """Whether what follows the name of a secret is no value but the next option: it looks like one, and has a value."""
    has_value = "=" in argument or (bool(rest) and not rest[0].startswith("-"))
    return bool(_OPTION_LIKE.fullmatch(argument)) and has_value


def _value_of(option: str, value: str) -> str:
    """What stands for the value of an option that takes a secret."""
    if _is_secret_name(option) or (option == "-p" and not _NO_PASSWORD.fullmatch(value)):
        return _hidden(value)
    user, colon, password = value.partition(":")
    if option in _LOGIN and colon and not password.isdigit():
        return f"{user}:{_hidden(password)}"
    return redact(value)


def _hidden(value: str) -> str:
    return value if _PLACEHOLDER.fullmatch(value) else HIDDEN


def stored_text(text: str) -> str:
    """A text that somebody gives, as it is stored: without what is invisible, and without what looks like a secret."""
    return redact(shown(text, lines=True))
