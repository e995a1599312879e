"""Who is told of what, when, and who is next: pure, so that a restart and a replay come to the same."""

from services.core.notifying.channel import redacted
from services.core.notifying.contacts import Contact, contacts_of
from services.core.notifying.due import Bundle, Waiting, bundle, next_look_ms
from services.core.notifying.notice import PIPELINE, Notice, Severity, of_alert, of_anomaly
from services.core.notifying.plan import Delivery, plan
from services.core.notifying.retry import ATTEMPTS_MAX, retry_after_ms
from services.core.notifying.tell import Told, dollars, tell

__all__ = [
    "ATTEMPTS_MAX",
    "PIPELINE",
    "Bundle",
    "Contact",
    "Delivery",
    "Notice",
    "Severity",
    "Told",
    "Waiting",
    "bundle",
    "contacts_of",
    "dollars",
    "next_look_ms",
    "of_alert",
    "of_anomaly",
    "plan",
    "redacted",
    "retry_after_ms",
    "tell",
]
