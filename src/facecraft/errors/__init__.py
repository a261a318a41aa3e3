"""Every exception Facecraft raises, as one tree.

An error carries a stable ``code`` (part of the public contract: clients branch on it), a :class:`Kind`
(what sort of trouble it is, never an HTTP status or an exit code: those are chosen at the doors), a message
for the person, a ``hint`` that names the next step, and a ``detail`` for the log that never leaves the process.

    FacecraftError
    ├── InputError            the caller's picture or options cannot be used
    │   ├── ImageDecodeError · UnsupportedFormatError · ImageTooLargeError · UploadTooLargeError
    │   ├── EmptyInputError · InputNotFoundError · FormExpectedError · TooManyFilesError · InvalidOptionError
    │   ├── MalformedFormError · FieldTooLargeError · TooManyFieldsError
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
    │   ├── InputBlobNotFoundError · QuotaExceededError · TaskUnknownError
    │   └── BusyError · CancelledError · DeadlineError · TooManyStreamsError
    ├── WebhookError          addresses that are told when jobs end
    │   ├── WebhookNotFoundError · DeliveryNotFoundError · WebhookDisabledError
    │   └── TooManyWebhooksError · WebhooksOffError
    ├── IdempotencyError      requests that are sent again with their key
    │   ├── IdempotencyKeyError · IdempotencyMismatchError
    │   └── IdempotencyInProgressError · IdempotencyReplyLostError
    ├── StorageError          bytes could not be kept or fetched
    │   └── StorageFullError · StorageAccessError
    ├── AuthError             who is calling
    │   ├── UnauthenticatedError · InvalidCredentialsError · TokenInvalidError · ResetTokenError
    │   ├── ForbiddenError · ScopeMissingError · AccountDisabledError · SignupDisabledError
    │   ├── HostNotAllowedError · OriginNotAllowedError
    │   ├── EmailTakenError · LastAdminError · UserNotFoundError · ApiKeyNotFoundError · SessionNotFoundError
    │   └── RateLimitedError · MailError
    ├── PartNotReadyError     a database, broker or store does not answer, or a thread has stopped
    └── ConfigurationError    the settings contradict each other or the machine
"""

from facecraft.errors.callers import (
    AccountDisabledError,
    ApiKeyNotFoundError,
    AuthError,
    EmailTakenError,
    ForbiddenError,
    HostNotAllowedError,
    InvalidCredentialsError,
    LastAdminError,
    MailError,
    OriginNotAllowedError,
    RateLimitedError,
    ResetTokenError,
    ScopeMissingError,
    SessionNotFoundError,
    SignupDisabledError,
    TokenInvalidError,
    UnauthenticatedError,
    UserNotFoundError,
)
from facecraft.errors.error import (
    FacecraftError,
    Kind,
)
from facecraft.errors.inputs import (
    AddressRefusedError,
    AmbiguousFaceError,
    ConsentRequiredError,
    EmptyInputError,
    FaceIndexError,
    FieldTooLargeError,
    FormExpectedError,
    ImageDecodeError,
    ImageTooLargeError,
    InputError,
    InputNotFoundError,
    InvalidOptionError,
    MalformedFormError,
    NoFaceFoundError,
    ReferenceNotFoundError,
    SwapDisabledError,
    TooManyFieldsError,
    TooManyFilesError,
    UnsupportedFormatError,
    UploadTooLargeError,
)
from facecraft.errors.networks import (
    DeviceMemoryError,
    InferenceError,
    LicenseNotAcceptedError,
    ModelDownloadError,
    ModelError,
    ModelInstallingError,
    ModelIntegrityError,
    ModelLoadError,
    ModelNotInstallableError,
    ModelNotInstalledError,
    OfflineError,
    ProviderUnavailableError,
    RuntimeMissingError,
    UnknownModelError,
)
from facecraft.errors.surroundings import (
    ConfigurationError,
    PartNotReadyError,
    StorageAccessError,
    StorageError,
    StorageFullError,
)
from facecraft.errors.work import (
    ArtifactNotFoundError,
    BusyError,
    CancelledError,
    DeadlineError,
    DeliveryNotFoundError,
    EmbeddingMismatchError,
    EnrolledFaceNotFoundError,
    GalleryError,
    GalleryNotFoundError,
    IdempotencyError,
    IdempotencyInProgressError,
    IdempotencyKeyError,
    IdempotencyMismatchError,
    IdempotencyReplyLostError,
    InputBlobNotFoundError,
    JobAbandonedError,
    JobError,
    JobNotFoundError,
    JobStateError,
    LeaseLostError,
    PersonNotFoundError,
    PipelineError,
    QuotaExceededError,
    SecretUnreadableError,
    TaskUnknownError,
    TooManyStreamsError,
    TooManyWebhooksError,
    WebhookDisabledError,
    WebhookError,
    WebhookNotFoundError,
    WebhooksOffError,
)

__all__ = [
    "AccountDisabledError",
    "AddressRefusedError",
    "AmbiguousFaceError",
    "ApiKeyNotFoundError",
    "ArtifactNotFoundError",
    "AuthError",
    "BusyError",
    "CancelledError",
    "ConfigurationError",
    "ConsentRequiredError",
    "DeadlineError",
    "DeliveryNotFoundError",
    "DeviceMemoryError",
    "EmailTakenError",
    "EmbeddingMismatchError",
    "EmptyInputError",
    "EnrolledFaceNotFoundError",
    "FaceIndexError",
    "FacecraftError",
    "FieldTooLargeError",
    "ForbiddenError",
    "FormExpectedError",
    "GalleryError",
    "GalleryNotFoundError",
    "HostNotAllowedError",
    "IdempotencyError",
    "IdempotencyInProgressError",
    "IdempotencyKeyError",
    "IdempotencyMismatchError",
    "IdempotencyReplyLostError",
    "ImageDecodeError",
    "ImageTooLargeError",
    "InferenceError",
    "InputBlobNotFoundError",
    "InputError",
    "InputNotFoundError",
    "InvalidCredentialsError",
    "InvalidOptionError",
    "JobAbandonedError",
    "JobError",
    "JobNotFoundError",
    "JobStateError",
    "Kind",
    "LastAdminError",
    "LeaseLostError",
    "LicenseNotAcceptedError",
    "MailError",
    "MalformedFormError",
    "ModelDownloadError",
    "ModelError",
    "ModelInstallingError",
    "ModelIntegrityError",
    "ModelLoadError",
    "ModelNotInstallableError",
    "ModelNotInstalledError",
    "NoFaceFoundError",
    "OfflineError",
    "OriginNotAllowedError",
    "PartNotReadyError",
    "PersonNotFoundError",
    "PipelineError",
    "ProviderUnavailableError",
    "QuotaExceededError",
    "RateLimitedError",
    "ReferenceNotFoundError",
    "ResetTokenError",
    "RuntimeMissingError",
    "ScopeMissingError",
    "SecretUnreadableError",
    "SessionNotFoundError",
    "SignupDisabledError",
    "StorageAccessError",
    "StorageError",
    "StorageFullError",
    "SwapDisabledError",
    "TaskUnknownError",
    "TokenInvalidError",
    "TooManyFieldsError",
    "TooManyFilesError",
    "TooManyStreamsError",
    "TooManyWebhooksError",
    "UnauthenticatedError",
    "UnknownModelError",
    "UnsupportedFormatError",
    "UploadTooLargeError",
    "UserNotFoundError",
    "WebhookDisabledError",
    "WebhookError",
    "WebhookNotFoundError",
    "WebhooksOffError",
]
