"""What each check of the explanations asks, and which detectors look for artifacts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Question:
    """What a check of the explanations asks, and why its limit is where it is."""

    asks: str
    why: str


CHECKS = {
    "conservation": Question(
        "Does the relevance that reaches the picture add up to the model's output?",
        "A sum that is far off means that relevance was made up or lost on the way; "
        "each residual block counted twice doubles it.",
    ),
    "channel_uniformity": Question(
        "Does each channel's map show its own channel?",
        "A channel's map must hold that channel's share and no more. When relevance leaks round "
        "the channel through a skip connection, every map holds nearly everything, and all of "
        "them are one and the same picture.",
    ),
    "class_sensitivity": Question(
        "Does the map change when another class is explained?",
        "A map that looks the same for every class shows edges of the picture, not reasons.",
    ),
    "randomisation": Question(
        "Does the map change when the model's weights are shuffled?",
        "A map that survives this does not depend on what the model has learned.",
    ),
    "faithfulness": Question(
        "Does the output fall when what the map marks is taken away?",
        "If covering the marked places changes the output no more than covering random ones, "
        "the map does not mark what the model uses.",
    ),
    "output_equivalence": Question(
        "Are the explained model's outputs those of the model itself?",
        "Explaining may not alter the model; beyond rounding, nothing may differ.",
    ),
    "engine_agreement": Question(
        "Do two engines that share no code draw the same map?",
        "Where both conserve relevance they must. Which of two different maps is wrong this check "
        "cannot tell, so it marks down and never rejects.",
    ),
}
"""By check id; checks of other detectors are shown with their own statement."""

ARTIFACTS = (
    "dark_ring", "vignette", "ruler", "ink", "colour_patch", "hair", "gel_bubble", "text",
    "white_frame", "colour_cast", "brightness", "blur", "jpeg_quality", "picture_size",
)  # fmt: skip
"""What may be in a picture and is not the lesion: the names that detectors of artifacts have."""

NO_ARTIFACTS = frozenset(
    {
        *("border_relevance", "fixed_position", "outside_lesion", "metadata"),
        *("property_label", "near_duplicates"),
    }
)
"""Detectors that look for something else; what they did not find is no row among artifacts."""
