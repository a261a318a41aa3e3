"""Networks that are not usable here, or could not run."""

from __future__ import annotations

from facecraft.errors.error import FacecraftError, Kind

# --- models ----------------------------------------------------------------------------------------------------------


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


# --- inference -------------------------------------------------------------------------------------------------------


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
