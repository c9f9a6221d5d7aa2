"""The vocabulary of an audit: what every detector says and every report reads."""

from melaudit.findings.document import *  # noqa: F403
