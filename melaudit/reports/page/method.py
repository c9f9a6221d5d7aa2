"""How an audit works, in plain words, and the papers behind it; the same for every run."""

from __future__ import annotations

from melaudit.statistics import correction
from melaudit.wording.terms import SEVERITY_RULE

METHOD = (
    (
        "Every image is read once",
        "It is decoded, prepared as the model's own pipeline would, and put through the model "
        "unchanged. What is measured on it is written down; what cannot be read is counted.",
    ),
    (
        "The output is handed back to the picture",
        "Layer-wise relevance propagation (LRP) puts the score of a class down to the pixels, "
        "layer by layer. Concept relevance propagation (CRP) does so for one channel at a time.",
    ),
    (
        "The maps are tested before they are used",
        "Do they add up, differ between classes and channels, depend on what the model has "
        "learned, and mark what the output needs? Maps that fail feed no finding.",
    ),
    (
        "Evidence climbs four rungs",
        "Opportunity: the artifact goes with the label. Attention: relevance lies on it, beyond "
        "the same place on other images. Dependence: adding or removing it changes the output, "
        "beyond a placebo edit. Harm: decisions get worse. A rung that was not tested says so.",
    ),
    SEVERITY_RULE,
    (
        "Chance is allowed for",
        "Each statistic has a null and a 95 % interval. p-values are corrected over everything "
        f"the run tested ({correction.METHOD}). Where nothing was found, the smallest effect "
        "that would have been seen is given.",
    ),
    (
        "Groups are found without being told what to look for",
        "Images of one predicted class are grouped by the channels that decided them and by where "
        "the relevance lies. A group's suspicion is the sum of named parts.",
    ),
)
"""(step, explanation)."""

REFERENCES = (
    "Bach, Binder, Montavon, Klauschen, M\u00fcller, Samek (2015). On pixel-wise explanations for "
    "non-linear classifier decisions by layer-wise relevance propagation. PLoS ONE 10(7).",
    "Achtibat, Dreyer, Eisenbraun, Bosse, Wiegand, Samek, Lapuschkin (2023). From attribution maps "
    "to human-understandable explanations through concept relevance propagation. Nature Machine "
    "Intelligence 5.",
    "Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra (2017). Grad-CAM: visual explanations from "
    "deep networks via gradient-based localization. ICCV.",
    "Lapuschkin, W\u00e4ldchen, Binder, Montavon, Samek, M\u00fcller (2019). Unmasking Clever Hans "
    "predictors and assessing what machines really learn. Nature Communications 10.",
    "Dreyer, Achtibat, Samek, Lapuschkin (2024). Understanding the (extra-)ordinary: validating "
    "deep model decisions with prototypical concept-based explanations. CVPR Workshops.",
    "Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim (2018). Sanity checks for saliency maps. "
    "NeurIPS.",
    "Samek, Binder, Montavon, Lapuschkin, M\u00fcller (2017). Evaluating the visualization of what "
    "a deep neural network has learned. IEEE Transactions on Neural Networks and Learning "
    "Systems 28(11).",
    "Geirhos, Jacobsen, Michaelis, Zemel, Brendel, Bethge, Wichmann (2020). Shortcut learning in "
    "deep neural networks. Nature Machine Intelligence 2.",
    correction.REFERENCE,
    "Wilson (1927). Probable inference, the law of succession, and statistical inference. Journal "
    "of the American Statistical Association 22(158).",
)
"""Papers, without links: a report fetches nothing and points nowhere."""
