"""What the caller sent cannot be used."""

from __future__ import annotations

from facecraft.errors.error import FacecraftError, Kind


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


class MalformedFormError(
    InputError,
    code="malformed_form",
    kind=Kind.MALFORMED,
    hint="Let the HTTP library write the form and its Content-Type with the boundary; never set that header by hand.",
):
    """The form cannot be read."""


class FieldTooLargeError(
    InputError,
    code="field_too_large",
    kind=Kind.TOO_LARGE,
    hint="Send a picture as a file, not as the text of a field.",
):
    """A field of the form holds more text than the limit allows."""


class TooManyFieldsError(
    InputError, code="too_many_fields", kind=Kind.TOO_LARGE, hint="Send only the fields that /docs lists."
):
    """The form has more fields than the limit allows."""


class TooManyFilesError(
    InputError, code="too_many_files", kind=Kind.TOO_LARGE, hint="Split the batch, or raise FACECRAFT_BATCH_MAX_FILES."
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
    hint="Give an https address that the whole internet can reach, such as https://example.com/hook. For others, and for "
    "http, the operator sets FACECRAFT_WEBHOOK_PRIVATE_ADDRESSES=true.",
):
    """The address cannot be used: nobody answers to its name, or it leads into a private network."""
