"""Named bytes that outlive a request: the :class:`BlobStore` protocol, its implementation, and files written whole."""

from facecraft.storage.blobs import BlobInfo, BlobNotFoundError, BlobStore, ObjectBlobStore, check_key, write_file

__all__ = ["BlobInfo", "BlobNotFoundError", "BlobStore", "ObjectBlobStore", "check_key", "write_file"]
