"""Inboxxia: an EmailBison instance under its own name, known for reporting scheduled campaign e-mail (EMAIL_SENT)."""

from queue_pipeline.integrations.webhooks import emailbison

NAME = "inboxxia"

read = emailbison.reader(NAME)
