"""Photographs of anything: the domain that is taken where no other fits."""

from __future__ import annotations

from melaudit.artifacts.interface import Phrases
from melaudit.artifacts.kinds.black_border import BlackBorder
from melaudit.artifacts.kinds.blur import Blur
from melaudit.artifacts.kinds.brightness import Brightness
from melaudit.artifacts.kinds.colour_cast import ColourCast
from melaudit.artifacts.kinds.jpeg_quality import JpegQuality
from melaudit.artifacts.kinds.picture_size import PictureSize
from melaudit.artifacts.kinds.text import Text
from melaudit.artifacts.kinds.vignette import Vignette
from melaudit.artifacts.kinds.white_frame import WhiteFrame
from melaudit.domains.interface import Domain, dressed
from melaudit.findings import Words

NEUTRAL = (0.0, 0.0)
"""a* and b* of grey: what surroundings have on average where nothing tints them."""
CAST = 40.0
"""Distance from grey from which the surroundings count as tinted. Chosen, not measured: few
photographs lie farther away, see docs/domains.md."""
DARK, USUAL = 25.0, 50.0
"""Median L* up to which a photograph is dark, and to which it is brightened. Chosen, not measured:
few photographs are darker, see docs/domains.md."""

PHOTO = Domain(
    id="photo",
    title="photographs",
    words=Words(),
    artifacts=(
        dressed(
            Text(),
            title="Lettering or a time stamp",
            phrases=Phrases(
                "lettering",
                "lettered",
                "letter-free",
                "written letters or digits",
                "letters",
            ),
            remedy="Take photographs without notices and time stamps written into them, or cover "
            "their place in every image.",
        ),
        WhiteFrame(),
        BlackBorder(),
        Vignette(),
        ColourCast(typical=NEUTRAL, distance=CAST),
        Brightness(usual=USUAL, dark=DARK),
        Blur(),
        JpegQuality(),
        PictureSize(),
    ),
    positive=("positive", "malignant", "cancer", "disease"),
    facts=(
        "A copyright notice in photographs of horses was enough for a model to call them horses "
        "(Lapuschkin et al. 2019).",
        "Classifiers of photographs go by the background: many images get another prediction once "
        "the object stands before another (Xiao et al. 2021).",
    ),
)
