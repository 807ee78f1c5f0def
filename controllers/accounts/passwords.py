"""What a new password must be: long, not the account's name, not what is tried first.

After NIST SP 800-63B: length counts, composition rules do not, and what attackers try first is
refused. No change is demanded as time goes by.
"""

from __future__ import annotations

from controllers.kernel.errors import DomainError

MIN_PASSWORD_CHARS = 12
MAX_PASSWORD_CHARS = 256
_MIN_DISTINCT = 5
_MIN_NAME_CHARS = 3
_COMMON = frozenset(
    {
        "123456789012",
        "1234567890123",
        "12345678901234",
        "123456789123",
        "123456123456",
        "qwertyuiop12",
        "qwertyuiopas",
        "qwertyuiopasdf",
        "qwertyuiopasdfgh",
        "1qaz2wsx3edc",
        "1q2w3e4r5t6y",
        "qazwsxedcrfv",
        "abcdefghijkl",
        "abcdefghijklm",
        "abc123abc123",
        "password",
        "passwordpassword",
        "passw0rd",
        "p@ssword",
        "p@ssw0rd",
        "iloveyou",
        "iloveyouforever",
        "letmein",
        "letmeinplease",
        "welcome",
        "changeme",
        "changemenow",
        "administrator",
        "adminadmin",
        "adminadminadmin",
        "superuser",
        "rootroot",
        "trustno1",
        "trustnoone",
        "sunshine",
        "princess",
        "football",
        "baseball",
        "qwerty",
        "qwertyqwerty",
        "asdfghjkl",
        "asdfghjklzxc",
        "zxcvbnm",
        "default",
        "defaultpassword",
        "secret",
        "secretsecret",
        "operator",
        "operatoroperator",
        "parkgrid",
        "parkgridparkgrid",
        "powerplant",
        "electricity",
    }
)


def check_password(password: str, username: str) -> None:
    """Check a new password.

    Raises:
        DomainError: it will not do; says why, never what it was.
    """
    folded = password.casefold()
    problem = None
    if not MIN_PASSWORD_CHARS <= len(password) <= MAX_PASSWORD_CHARS:
        problem = f"must be {MIN_PASSWORD_CHARS} to {MAX_PASSWORD_CHARS} characters long"
    elif len(set(folded)) < _MIN_DISTINCT:
        problem = f"must have at least {_MIN_DISTINCT} different characters"
    elif len(username) >= _MIN_NAME_CHARS and username.casefold() in folded:
        problem = "must not contain the account's name"
    elif folded in _COMMON or _stem(folded) in _COMMON:
        problem = "is among those that attackers try first; a few words of your own are better"
    if problem is not None:
        raise DomainError("password", "(not shown)", problem)


def _stem(folded: str) -> str:
    # "Password2026!!" is as well known as "password".
    return folded.strip("0123456789!?.,*#$-_ ")
