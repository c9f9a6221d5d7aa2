"""Dermoscopy: pictures of skin lesions through a dermatoscope."""

from __future__ import annotations

import numpy as np

from melaudit.artifacts.interface import RGB, Mask
from melaudit.artifacts.kinds.blur import Blur
from melaudit.artifacts.kinds.brightness import Brightness
from melaudit.artifacts.kinds.colour_cast import ColourCast
from melaudit.artifacts.kinds.colour_patch import ColourPatch
from melaudit.artifacts.kinds.dark_ring import DarkRing
from melaudit.artifacts.kinds.gel_bubble import GelBubble
from melaudit.artifacts.kinds.hair import Hair
from melaudit.artifacts.kinds.ink import Ink
from melaudit.artifacts.kinds.jpeg_quality import JpegQuality
from melaudit.artifacts.kinds.picture_size import PictureSize
from melaudit.artifacts.kinds.ruler import Ruler
from melaudit.artifacts.kinds.text import Text
from melaudit.artifacts.kinds.vignette import Vignette
from melaudit.artifacts.kinds.white_frame import WhiteFrame
from melaudit.artifacts.painting.inpainting import continued
from melaudit.domains.interface import Domain, dressed
from melaudit.domains.looks import surroundings
from melaudit.findings import Words

REACH = 0.8
"""Radius that is covered to hide the lesion, as a share of half the side. Chosen: a round figure,
not measured."""

SKIN_A, SKIN_B = (-2.0, 42.0), (-22.0, 28.0)
"""a* and b* between which the surroundings of a lesion lie, see docs/domains.md."""
MIN_LIGHTNESS = 42.0
"""Mean L* that they have at least."""
MAX_HUE_SPREAD = 9.5
"""Standard deviation of a* and b* together that they have at most: skin has one hue."""
MAX_CONTRAST = 20.0
"""Standard deviation of L* that they have at most."""


def without_lesion(image: RGB, rng: np.random.Generator) -> RGB:
    """Cover the middle of an image (h, w, 3) with the skin around it, mottled as that skin is.

    In dermoscopy the lesion lies in the middle. If a lesion fills the picture, a part of it stays;
    the caller can tell, because it knows what the model makes of the skin alone.
    Reference: Bissoto et al. 2019, "(De)Constructing bias on skin lesion datasets".
    """
    return continued(image, middle(*image.shape[:2]), rng)


def middle(height: int, width: int) -> Mask:
    """Return a mask (height, width), True in the ellipse in the middle where lesions lie."""
    y = (np.arange(height)[:, None] + 0.5) / height * 2 - 1
    x = (np.arange(width)[None] + 0.5) / width * 2 - 1
    return np.asarray(np.hypot(y, x) < REACH, np.bool_)


def surrounded_by_skin(image: RGB) -> bool:
    """Tell whether what lies around the middle of an image (h, w, 3) is even and of skin colour."""
    around = surroundings(image)
    return (
        not around.grey
        and SKIN_A[0] < around.a < SKIN_A[1]
        and SKIN_B[0] < around.b < SKIN_B[1]
        and around.lightness > MIN_LIGHTNESS
        and around.hue_spread < MAX_HUE_SPREAD
        and around.contrast < MAX_CONTRAST
    )


DERMOSCOPY = Domain(
    id="dermoscopy",
    title="dermoscopy",
    words=Words(
        object="lesion",
        objects="lesions",
        an_object="a lesion",
        surroundings="skin",
        surroundings_vary="Skin also differs with people, body sites and age",
        bare="skin without a lesion",
        picture="image",
        pictures="images",
        subject="patient or lesion",
        subjects="patients or lesions",
        person="patient",
        cause="the disease",
        reason="for a medical reason",
        harm="to the harm of patients: diseases are missed or healthy people are treated as ill",
        artifacts="a ring, a ruler, ink, hair, a bubble",
        concepts="ring, pigment, skin",
        unlike="another clinic, camera, skin type or year",
    ),
    artifacts=(
        dressed(DarkRing(), ground="skin"),
        Vignette(),
        Ruler(),
        dressed(Ink(), ground="skin"),
        dressed(ColourPatch(), ground="skin"),
        Hair(),
        GelBubble(),
        dressed(Text(), ground="skin"),
        dressed(WhiteFrame(), ground="skin"),
        ColourCast(),
        Brightness(),
        Blur(),
        JpegQuality(),
        PictureSize(),
    ),
    positive=("malignant", "melanoma", "mel", "positive", "cancer", "disease"),
    joined=("benign", "malignant"),
    diagnoses=frozenset(
        {
            *("malignant", "melanoma", "mel", "bcc", "basalcellcarcinoma", "akiec", "ak", "scc"),
            *("actinickeratosis", "squamouscellcarcinoma", "lentigomaligna"),
        }
    ),
    shows_skin=True,
    without_object=without_lesion,
    recognises=surrounded_by_skin,
    looks="in colour, with an even surround of the hue of skin",
    facts=(
        "Surgical ink raised the scores of a marketed network for benign moles (Winkler et al. "
        "2019).",
        "Dark corners changed the answers of one, too (Sies et al. 2021).",
        "Pictures with a ruler were more often melanoma in the data that one network learned from "
        "(Narla et al. 2018).",
        "Models still predict the label with the lesion covered (Bissoto et al. 2019).",
    ),
)
