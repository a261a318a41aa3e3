"""Every exception Facecraft raises, as one tree.

An error carries a stable ``code`` (part of the public contract: clients branch on it), a :class:`Kind`
(what sort of trouble it is, never an HTTP status or an exit code: those are chosen at the doors), a message
for the person, a ``hint`` that names the next step, and a ``detail`` for the log that never leaves the process.

    FacecraftError
    ├── InputError            the caller's picture or options cannot be used
    │   ├── ImageDecodeError · UnsupportedFormatError · ImageTooLargeError · UploadTooLargeError
    │   ├── EmptyInputError · InputNotFoundError · FormExpectedError · TooManyFilesError · InvalidOptionError
    │   ├── NoFaceFoundError · FaceIndexError · AmbiguousFaceError · ReferenceNotFoundError
    │   └── ConsentRequiredError · SwapDisabledError · AddressRefusedError
    ├── ModelError            a network is not usable here
    │   ├── UnknownModelError · ModelNotInstalledError · ModelInstallingError · LicenseNotAcceptedError
    │   └── ModelDownloadError · ModelIntegrityError · ModelLoadError · OfflineError · ModelNotInstallableError
    ├── InferenceError        a network was loaded and could not run
    │   └── ProviderUnavailableError · RuntimeMissingError · DeviceMemoryError
    ├── PipelineError         a pipeline is not well formed
    ├── GalleryError          enrolled people
    │   └── GalleryNotFoundError · PersonNotFoundError · EnrolledFaceNotFoundError · EmbeddingMismatchError
    ├── JobError              work that outlives a request
    │   ├── JobNotFoundError · JobStateError · JobAbandonedError · LeaseLostError · ArtifactNotFoundError
    │   └── BusyError · CancelledError · DeadlineError
    ├── WebhookError          addresses that are told when jobs end
    │   ├── WebhookNotFoundError · DeliveryNotFoundError · WebhookDisabledError
    │   └── TooManyWebhooksError · WebhooksOffError
    ├── IdempotencyError      requests that are sent again with their key
    │   └── IdempotencyKeyError · IdempotencyMismatchError · IdempotencyInProgressError
    ├── StorageError          bytes could not be kept or fetched
    │   └── StorageFullError · StorageAccessError
    ├── AuthError             who is calling
    │   └── UnauthenticatedError · ForbiddenError
    └── ConfigurationError    the settings contradict each other or the machine
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import ClassVar

_PATH = re.compile(r"(?:^|[\s'\"(])(?:/[\w.-]+|[A-Za-z]:\\)")


class Kind(StrEnum):
    """What sort of trouble an error is. Doors map it to a status or an exit code."""

    INVALID = "invalid"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    BUSY = "busy"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    UNAVAILABLE = "unavailable"
    STORAGE_FULL = "storage_full"
    CONFIGURATION = "configuration"
    INTERNAL = "internal"


class FacecraftError(Exception):
    """Something went wrong inside Facecraft."""

    code: ClassVar[str] = "facecraft_error"
    kind: ClassVar[Kind] = Kind.INTERNAL
    default_hint: ClassVar[str | None] = None

    def __init_subclass__(cls, *, code: str | None = None, kind: Kind | None = None, hint: str | None = None) -> None:
        super().__init_subclass__()
        if code is not None:
            cls.code = code
        if kind is not None:
            cls.kind = kind
        if hint is not None:
            cls.default_hint = hint

    def __init__(self, message: str | None = None, *, hint: str | None = None, detail: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or self.code).strip().splitlines()[0]
        self.hint = hint or self.default_hint
        self.detail = detail
        super().__init__(self.message)

    @property
    def title(self) -> str:
        """What every error of this sort is called."""
        return (type(self).__doc__ or self.code).strip().splitlines()[0].rstrip(".")

    @property
    def public_message(self) -> str:
        """What anybody may know of this error: folders and troubles of the server stay on the server."""
        if self.kind in (Kind.INTERNAL, Kind.CONFIGURATION) or _PATH.search(self.message):
            return f"{self.title}."
        return self.message

    @property
    def public_hint(self) -> str | None:
        """What anybody may be told to do about it."""
        return self.hint if self.hint is None or not _PATH.search(self.hint) else self.default_hint


# --- input ---------------------------------------------------------------------------------------------------------


class InputError(FacecraftError, code="invalid_input", kind=Kind.INVALID):
    """The input cannot be used."""


class ImageDecodeError(InputError, code="image_unreadable", hint="Save the picture again as JPEG or PNG and retry."):
    """The picture is damaged or incomplete and cannot be read."""


class UnsupportedFormatError(
    InputError,
    code="unsupported_format",
    kind=Kind.UNSUPPORTED,
    hint="Use JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP or GIF.",
):
    """The file is not a picture format that Facecraft reads."""


class ImageTooLargeError(
    InputError,
    code="image_too_large",
    kind=Kind.TOO_LARGE,
    hint="Scale the picture down, or raise FACECRAFT_MAX_MEGAPIXELS.",
):
    """The picture has more pixels than the limit allows."""


class UploadTooLargeError(
    InputError,
    code="upload_too_large",
    kind=Kind.TOO_LARGE,
    hint="Use a smaller file, or raise FACECRAFT_MAX_UPLOAD_SIZE_MB (own files: FACECRAFT_MAX_FILE_SIZE_MB).",
):
    """The file has more bytes than the limit allows."""


class EmptyInputError(InputError, code="empty_input", hint="Give a file that holds a picture."):
    """The file is empty."""


class InputNotFoundError(InputError, code="input_not_found", kind=Kind.NOT_FOUND, hint="Check the name of the file."):
    """The file does not exist."""


class FormExpectedError(
    InputError,
    code="form_expected",
    kind=Kind.UNSUPPORTED,
    hint="Send the picture as a form: curl -F file=@me.jpg …",
):
    """The request is not a form (multipart/form-data)."""


class TooManyFilesError(
    InputError, code="too_many_files", kind=Kind.TOO_LARGE, hint="Split the batch, or raise the batch limit."
):
    """The batch holds more files than the limit allows."""


class InvalidOptionError(InputError, code="invalid_option"):
    """An option has a value that is not allowed."""


class NoFaceFoundError(
    InputError, code="no_face_detected", hint="Use a picture in which a face is visible and not cut off."
):
    """No face could be detected in the image."""


class FaceIndexError(
    InputError, code="face_index_out_of_range", hint="Face indexes start at 0; see `facecraft detect`."
):
    """The picture has fewer faces than the chosen index."""


class AmbiguousFaceError(
    InputError, code="several_faces", hint="Choose a face policy: largest, central, index or all."
):
    """The picture shows several faces and the policy allows only one."""


class ReferenceNotFoundError(
    InputError,
    code="reference_not_found",
    hint="Give another picture of that person, or name the face: faces=index with face_index, or swap_map.",
):
    """No face of the picture shows the person of the reference."""


class ConsentRequiredError(
    InputError,
    code="consent_required",
    kind=Kind.FORBIDDEN,
    hint="Say consent=true (--consent) when everybody shown has agreed.",
):
    """Swapping faces needs the consent of the people shown."""


class SwapDisabledError(
    InputError, code="swap_disabled", kind=Kind.FORBIDDEN, hint="The operator decides: FACECRAFT_SWAP_ENABLED."
):
    """Swapping faces is switched off here."""


class AddressRefusedError(
    InputError,
    code="address_refused",
    hint="Give an https address that the whole internet can reach, such as https://example.com/hook.",
):
    """The address cannot be used: nobody answers to its name, or it leads into a private network."""


# --- models --------------------------------------------------------------------------------------------------------


class ModelError(FacecraftError, code="model_error", kind=Kind.UNAVAILABLE):
    """A model cannot be used."""


class UnknownModelError(ModelError, code="unknown_model", kind=Kind.NOT_FOUND, hint="See `facecraft models list`."):
    """The catalogue has no model of this name."""


class ModelNotInstalledError(ModelError, code="model_not_installed"):
    """The model is not installed."""

    def __init__(
        self,
        message: str | None = None,
        *,
        hint: str | None = None,
        detail: str | None = None,
        wanted: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, hint=hint, detail=detail)
        self.wanted = wanted
        """The ids of the models whose installation would help."""


class ModelInstallingError(ModelError, code="model_installing", hint="Ask again in a moment."):
    """The model is being installed."""


class ModelNotInstallableError(
    ModelError,
    code="model_not_installable",
    hint="Nobody has published a checksum for this file: place it in the models folder by hand.",
):
    """The model has no published checksum and is not installed unattended."""


class LicenseNotAcceptedError(ModelError, code="license_not_accepted", kind=Kind.FORBIDDEN):
    """The licence of the model has not been accepted."""


class ModelDownloadError(ModelError, code="model_download_failed"):
    """No source of the model could be reached."""


class ModelIntegrityError(ModelError, code="model_corrupt"):
    """The model file does not have the expected checksum."""


class ModelLoadError(ModelError, code="model_load_failed"):
    """The model file could not be loaded."""


class OfflineError(
    ModelError, code="offline", hint="Unset FACECRAFT_OFFLINE, or copy the file into the models folder."
):
    """Facecraft is offline and must not fetch anything."""


# --- inference -----------------------------------------------------------------------------------------------------


class InferenceError(FacecraftError, code="inference_failed", kind=Kind.INTERNAL):
    """The model could not run on this input."""


class ProviderUnavailableError(
    InferenceError,
    code="device_unavailable",
    kind=Kind.UNAVAILABLE,
    hint="Use --device auto or cpu, or install the GPU build: pip install 'facecraft[gpu]'.",
):
    """The requested device is not available on this machine."""


class RuntimeMissingError(InferenceError, code="runtime_missing", kind=Kind.UNAVAILABLE):
    """The inference runtime that this model needs is not installed."""


class DeviceMemoryError(
    InferenceError, code="out_of_memory", kind=Kind.UNAVAILABLE, hint="Use a smaller picture or fewer jobs at once."
):
    """The device ran out of memory."""


# --- galleries -----------------------------------------------------------------------------------------------------


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


# --- pipelines and jobs --------------------------------------------------------------------------------------------


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


class LeaseLostError(JobError, code="lease_lost"):
    """Another worker has taken over the job."""


class ArtifactNotFoundError(JobError, code="artifact_not_found", kind=Kind.NOT_FOUND):
    """The job has no result of this name."""


class BusyError(JobError, code="busy", kind=Kind.BUSY, hint="Retry after a moment."):
    """All workers are busy and the queue is full."""


class CancelledError(JobError, code="cancelled", kind=Kind.CANCELLED):
    """The work was cancelled."""


class DeadlineError(JobError, code="deadline_exceeded", kind=Kind.DEADLINE):
    """The work took longer than the limit allows."""


# --- webhooks and idempotency keys ---------------------------------------------------------------------------------


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


# --- storage, callers, configuration -------------------------------------------------------------------------------


class StorageError(FacecraftError, code="storage_error", kind=Kind.UNAVAILABLE):
    """The store could not be reached."""


class StorageFullError(StorageError, code="storage_full", kind=Kind.STORAGE_FULL, hint="Free some space and retry."):
    """There is no space left."""


class StorageAccessError(StorageError, code="storage_denied", hint="Check that the folder exists and is writable."):
    """The folder or file cannot be read or written."""


class AuthError(FacecraftError, code="auth_error", kind=Kind.UNAUTHENTICATED):
    """The caller could not be recognised."""


class UnauthenticatedError(AuthError, code="unauthenticated", hint="Send the API key in the X-API-Key header."):
    """An API key is required."""


class ForbiddenError(AuthError, code="forbidden", kind=Kind.FORBIDDEN):
    """The caller may not do this."""


class ConfigurationError(FacecraftError, code="configuration", kind=Kind.CONFIGURATION):
    """The configuration is not usable."""
