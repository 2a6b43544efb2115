"""A statement of PostgreSQL that appends an event of one trial, unless what is known of the trial is out of date."""

from __future__ import annotations

import sqlalchemy as sa

from hpo.storage import schema as tables
from hpo.storage.database import Message
from hpo.storage.stored_event import to_text
from hpo.trials.events import Draft

# Two lookups, and `seq` not as it is, so that the index on numbers serves both. The time is written as `stamp` writes it.
_APPENDED = sa.text(
    """
    WITH new AS (
        INSERT INTO event (study_id, seq, at, kind, number, data, request)
        SELECT id, last_seq + 1,
            to_char(statement_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24\\:MI\\:SS.US"+00\\:00"'),
            CAST(:kind AS text), CAST(:number AS integer), CAST(:data AS text), CAST(:request AS text)
        FROM study
        WHERE id = :study
            AND (SELECT version_num FROM hpo_version) = :version
            AND NOT EXISTS (SELECT FROM event WHERE study_id = :study AND number = :number AND seq + 0 > :after)
            AND NOT EXISTS (SELECT FROM event WHERE study_id = :study AND number IS NULL AND seq + 0 > :after)
        RETURNING seq, at
    )
    UPDATE study SET last_seq = new.seq FROM new WHERE id = :study RETURNING new.seq, new.at
    """
)


def appended(study: int, after: int, draft: Draft) -> Message:
    """Append `draft`, of one trial, if since event `after` nothing was written of this trial or of none: its row has the
    event's `seq` and `at`. There is none where something was, and where the tables are of another version. To be executed
    under the study's lock. Raises StorageError for data that are not JSON."""
    return _APPENDED, {
        "study": study,
        "version": tables.HEAD,
        "after": after,
        "kind": draft.kind,
        "number": draft.number,
        "data": to_text(draft.data, f"the data of event {draft.kind!r}"),
        "request": draft.request,
    }
