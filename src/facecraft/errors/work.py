"""Galleries, pipelines, jobs, and what callers are told of them."""

from __future__ import annotations

from facecraft.errors.error import FacecraftError, Kind

# --- galleries -------------------------------------------------------------------------------------------------------


class GalleryError(FacecraftError, code="gallery_error", kind=Kind.INVALID):
    """The gallery cannot be used in this way."""


class GalleryNotFoundError(GalleryError, code="gallery_not_found", kind=Kind.NOT_FOUND):
    """There is no such gallery."""


class PersonNotFoundError(GalleryError, code="person_not_found", kind=Kind.NOT_FOUND):
    """The gallery has no such person."""


class EnrolledFaceNotFoundError(GalleryError, code="enrolled_face_not_found", kind=Kind.NOT_FOUND):
    """The gallery has no such face."""


class EmbeddingMismatchError(
    GalleryError,
    code="embedding_mismatch",
    hint="Embed the face again with the gallery's own model: vectors of different models are never compared.",
):
    """The embedding was made by another model than the gallery's."""


# --- pipelines and jobs ----------------------------------------------------------------------------------------------


class PipelineError(FacecraftError, code="invalid_pipeline", kind=Kind.INVALID):
    """The pipeline is not well formed."""


class JobError(FacecraftError, code="job_error", kind=Kind.INTERNAL):
    """A job could not be handled."""


class JobNotFoundError(JobError, code="job_not_found", kind=Kind.NOT_FOUND):
    """There is no such job, or its results have been deleted."""


class JobStateError(JobError, code="job_state", kind=Kind.CONFLICT):
    """The job is in a state in which this cannot be done."""


class JobAbandonedError(
    JobError, code="worker_lost", hint="Retry the job. When it happens again, the picture may need too much memory."
):
    """The worker of the job died again and again."""


class TaskUnknownError(
    JobError,
    code="task_unknown",
    hint="Send the work again, or retry the job with the version of Facecraft that it was sent to.",
):
    """The job was sent to another version of Facecraft, and this one does not know what it is to do."""


class LeaseLostError(JobError, code="lease_lost"):
    """Another worker has taken over the job."""


class ArtifactNotFoundError(
    JobError,
    code="artifact_not_found",
    kind=Kind.NOT_FOUND,
    hint="Look at the job: it lists the files that it has made, by name.",
):
    """The job has no result of this name."""


class InputBlobNotFoundError(
    JobError,
    code="blob_not_found",
    kind=Kind.NOT_FOUND,
    hint="Upload the file again: uploads are kept for a while only.",
):
    """There is no such upload, or it has been deleted."""


class QuotaExceededError(
    JobError,
    code="quota_exceeded",
    kind=Kind.STORAGE_FULL,
    hint="Delete jobs and uploads that are not needed any more, or wait until they expire.",
):
    """As many bytes are kept for this caller as may be."""


class BusyError(JobError, code="busy", kind=Kind.BUSY, hint="Retry after a moment."):
    """All workers are busy and the queue is full."""


class TooManyStreamsError(
    JobError, code="too_many_streams", kind=Kind.BUSY, hint="Close other streams, or ask for the job now and then."
):
    """Too many streams of events are open."""


class CancelledError(JobError, code="cancelled", kind=Kind.CANCELLED):
    """The work was cancelled."""


class DeadlineError(JobError, code="deadline_exceeded", kind=Kind.DEADLINE):
    """The work took longer than the limit allows."""


# --- webhooks and idempotency keys -----------------------------------------------------------------------------------


class WebhookError(FacecraftError, code="webhook_error", kind=Kind.INVALID):
    """The webhook cannot be used in this way."""


class WebhookNotFoundError(WebhookError, code="webhook_not_found", kind=Kind.NOT_FOUND):
    """There is no such webhook."""


class DeliveryNotFoundError(WebhookError, code="delivery_not_found", kind=Kind.NOT_FOUND):
    """The webhook has no such delivery, or it is so old that it was deleted."""


class WebhookDisabledError(
    WebhookError, code="webhook_disabled", kind=Kind.CONFLICT, hint="Enable it first: PATCH with enabled=true."
):
    """The webhook is disabled."""


class TooManyWebhooksError(
    WebhookError, code="too_many_webhooks", kind=Kind.CONFLICT, hint="Delete one that is not needed any more."
):
    """There are as many webhooks as there may be."""


class SecretUnreadableError(
    WebhookError,
    code="webhook_secret_unreadable",
    kind=Kind.CONFIGURATION,
    hint="Rotate the secret of the webhook, or give the server the FACECRAFT_JWT_SECRET_KEY that it had.",
):
    """The secret of the webhook cannot be read: the server's own secret was changed."""


class WebhooksOffError(
    WebhookError,
    code="webhooks_off",
    kind=Kind.FORBIDDEN,
    hint="The operator decides: FACECRAFT_WEBHOOKS_ENABLED.",
):
    """Webhooks are switched off here."""


class IdempotencyError(FacecraftError, code="idempotency_error", kind=Kind.INVALID):
    """The idempotency key cannot be used in this way."""


class IdempotencyKeyError(
    IdempotencyError, code="idempotency_key_invalid", hint="Send a random UUID, once, as Idempotency-Key."
):
    """An idempotency key is one header of 1 to 255 visible ASCII characters."""


class IdempotencyMismatchError(IdempotencyError, code="idempotency_mismatch", hint="Use a new key for a new request."):
    """The idempotency key was used with another request."""


class IdempotencyInProgressError(
    IdempotencyError, code="idempotency_in_progress", kind=Kind.CONFLICT, hint="Ask again in a moment."
):
    """The first request with this idempotency key has not been answered yet."""


class IdempotencyReplyLostError(
    IdempotencyError,
    code="idempotency_reply_lost",
    kind=Kind.CONFLICT,
    hint="Look at what it made: the headers Location and X-Facecraft-Job-Id name it.",
):
    """The request was done, but its answer could not be kept for a second time."""
