"""The note on provenance: in the file when asked for, readable by others, and nothing else changes."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image as Pillow

from facecraft.imaging import codecs
from facecraft.imaging.codecs import TRAINED_COMPOSITE, EncodeOptions, OutputFormat
from facecraft.imaging.codecs.provenance import xmp_packet

PIXELS = np.random.default_rng(3).integers(0, 256, (90, 120, 3), np.uint8)
TERM = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"


@pytest.mark.parametrize("kind", OutputFormat)
def test_the_note_is_there_and_the_picture_is_the_same(kind: OutputFormat) -> None:
    plain = codecs.encode(PIXELS, kind).data
    noted = codecs.encode(PIXELS, kind, provenance=TRAINED_COMPOSITE).data
    assert TERM.encode() in noted
    assert TERM.encode() not in plain
    before, after = Pillow.open(io.BytesIO(plain)), Pillow.open(io.BytesIO(noted))
    assert np.array_equal(np.asarray(before), np.asarray(after))
    assert "xmp" not in before.info
    packet = after.info["xmp"]
    assert TERM in (packet if isinstance(packet, str) else packet.decode())
    assert codecs.decode(noted).rgb.shape == (90, 120, 3)


def test_the_note_counts_in_the_budget_of_a_jpeg() -> None:
    options = EncodeOptions(jpeg_max_kb=6)
    made = codecs.encode(PIXELS, OutputFormat.JPEG, options, provenance=TRAINED_COMPOSITE)
    assert made.fits
    assert len(made.data) <= 6 * 1024
    assert TERM.encode() in made.data


def test_the_packet_is_well_formed_and_takes_only_terms() -> None:
    text = xmp_packet(TRAINED_COMPOSITE).decode()
    body = text[text.index("<x:xmpmeta") : text.index("<?xpacket end")]
    (described,) = ET.fromstring(body).iter("{http://www.w3.org/1999/02/22-rdf-syntax-ns#}Description")  # noqa: S314
    assert described.get("{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}DigitalSourceType") == TERM
    for wrong in ("", 'a"b', "<x>", "a b"):
        with pytest.raises(ValueError, match="IPTC"):
            xmp_packet(wrong)
