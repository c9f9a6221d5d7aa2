"""Radiographs and other grey pictures of the inside of the body: X-ray, CT, MRI."""

from __future__ import annotations

from melaudit.artifacts.interface import RGB, Phrases
from melaudit.artifacts.kinds.annotation import Annotation
from melaudit.artifacts.kinds.black_border import BlackBorder
from melaudit.artifacts.kinds.inverted import Inverted
from melaudit.artifacts.kinds.jpeg_quality import JpegQuality
from melaudit.artifacts.kinds.picture_size import PictureSize
from melaudit.artifacts.kinds.side_marker import SideMarker
from melaudit.artifacts.kinds.text import Text
from melaudit.artifacts.kinds.tube import Tube
from melaudit.artifacts.kinds.white_frame import WhiteFrame
from melaudit.domains.interface import Domain, dressed
from melaudit.domains.looks import surroundings, symmetry
from melaudit.findings import Words

MIN_SIDE = 64
"""Shorter side, in pixels, of a picture that is recognised: smaller grey ones are digits or tiles.
"""
MIN_SYMMETRY = 0.6
"""Correlation of a picture with its mirror image from which it is symmetric. Chosen, not measured;
docs/domains.md says how many pictures the rule then recognises."""
MIN_BLACK = 0.3
"""Share of the surroundings that is black, from which a body part lies before black. Chosen, not
measured."""


def inside_the_body(image: RGB) -> bool:
    """Tell whether an image (h, w, 3) is grey, and symmetric or surrounded by black."""
    if min(image.shape[:2]) < MIN_SIDE:
        return False
    around = surroundings(image)
    return around.grey and (around.black >= MIN_BLACK or symmetry(image) >= MIN_SYMMETRY)


RADIOGRAPH = Domain(
    id="radiograph",
    title="radiographs and scans",
    words=Words(
        object="body part",
        objects="body parts",
        an_object="a body part",
        surroundings="outer field",
        surroundings_vary="The outer field also differs with build, position and collimation",
        picture="scan",
        pictures="scans",
        subject="patient",
        subjects="patients",
        person="patient",
        cause="the disease",
        reason="for a medical reason",
        harm="to the harm of patients: diseases are missed or healthy people are treated as ill",
        artifacts="a side marker, a collimation border, a tube",
        concepts="marker, bone, border",
        unlike="another hospital, device, protocol or year",
    ),
    artifacts=(
        dressed(
            Text(),
            title="Burned-in lettering",
            phrases=Phrases(
                "lettering",
                "lettered",
                "letter-free",
                "burned-in letters or digits",
                "burned-in letters",
            ),
            remedy="Export images without overlays, or cover the place of the lettering in every "
            "image.",
        ),
        SideMarker(),
        dressed(
            BlackBorder(),
            title="Collimation border",
            phrases=Phrases(
                "collimation border",
                "bordered",
                "border-free",
                "a black collimation border or bars",
                "collimation borders",
            ),
            remedy="Crop every image to the exposed field before training and before use.",
        ),
        WhiteFrame(),
        Inverted(),
        Tube(),
        Annotation(),
        JpegQuality(),
        PictureSize(),
    ),
    positive=("positive", "disease", "abnormal", "pneumonia", "tumor", "tumour", "covid", "cancer"),
    recognises=inside_the_body,
    looks="grey, and symmetric or surrounded by black",
    facts=(
        "Networks for pneumonia told hospitals apart by laterality markers, and did worse at other "
        "hospitals (Zech et al. 2018).",
        "Networks for COVID-19 went by side markers, the position of the shoulders and the border "
        "of the picture (DeGrave et al. 2021).",
        "Networks for pneumothorax went by the drain that treats it (Oakden-Rayner et al. 2020).",
    ),
)
