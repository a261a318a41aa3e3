"""The one note a file may carry: how its content came about (XMP, IPTC Photo Metadata: Digital Source Type)."""

from __future__ import annotations

TRAINED_COMPOSITE = "compositeWithTrainedAlgorithmicMedia"
"""A photo of which a part was drawn by a trained network.

A term of https://cv.iptc.org/newscodes/digitalsourcetype/, which C2PA uses as well."""

_VOCABULARY = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
    '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"'
    ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:CreatorTool="Facecraft"'
    ' Iptc4xmpExt:DigitalSourceType="{address}"/>'
    '</rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


def xmp_packet(provenance: str) -> bytes:
    """Return the XMP packet that names the IPTC digital source type ``provenance``, such as TRAINED_COMPOSITE.

    Raises ValueError for a word that no term of that vocabulary looks like.
    """
    if not (provenance.isascii() and provenance.isalpha()):
        raise ValueError(f"not a term of the IPTC vocabulary: {provenance!r}")
    return _PACKET.format(address=_VOCABULARY + provenance).encode()
