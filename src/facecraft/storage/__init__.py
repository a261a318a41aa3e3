"""Named bytes that outlive a request: the :class:`BlobStore` protocol, its implementation, and files written whole."""

from facecraft.storage.blobs import BlobInfo, BlobNotFoundError, BlobStore, check_key
from facecraft.storage.files import write_file
from facecraft.storage.objects import ObjectBlobStore
from facecraft.storage.opening import open_store

__all__ = ["BlobInfo", "BlobNotFoundError", "BlobStore", "ObjectBlobStore", "check_key", "open_store", "write_file"]
