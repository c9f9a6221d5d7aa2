"""What a domain is called and what its things are called: vocabulary that every sentence takes.

The defaults are true of any picture. A domain (`melaudit/domains/`) replaces them with the words of
its field, and an audit writes down which it used.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Words:
    """What sentences call the things of a field."""

    object: str = "object"
    """What the model is to look at: "lesion"."""
    objects: str = "objects"
    an_object: str = "an object"
    surroundings: str = "background"
    """What lies around the object, in the singular: "skin"."""
    surroundings_vary: str = "The background also differs with what is pictured"
    """Why a difference there need not come from the camera, as the beginning of a sentence."""
    bare: str = "background without an object"
    """What is left without the object: "skin without a lesion"."""
    picture: str = "image"
    """One taking of a picture, however often it is stored: "photograph", "scan"."""
    pictures: str = "images"
    subject: str = "subject"
    """Whose pictures belong together, in a split as in a bootstrap: "patient or lesion"."""
    subjects: str = "subjects"
    person: str = "subject"
    """Who or what is pictured: "patient"."""
    cause: str = "what the class stands for"
    """What a right decision rests on: "the disease"."""
    reason: str = "because of what the class stands for"
    """How a good feature goes with the label, where a shortcut does not: "for a medical reason"."""
    harm: str = "to the harm of those who rely on it: things are missed or seen where they are not"
    """Whom decisions for a wrong reason harm, and how."""
    artifacts: str = "a time stamp, a frame, a blur"
    """Examples of artifacts."""
    concepts: str = "letters, an edge, a texture"
    """Examples of what late channels respond to."""
    unlike: str = "another source, camera or year"
    """How pictures of the field differ from those that were audited."""


@dataclass(frozen=True)
class DomainInfo:
    """The domain of an audit, as a report says it."""

    id: str = ""
    """"dermoscopy"; empty in an audit that names none."""
    title: str = ""
    """In words: "dermoscopy"."""
    chosen: str = ""
    """Why it is this one: what the user said, or what the images show and how surely."""
    words: Words = field(default_factory=Words)
    facts: tuple[str, ...] = ()
    """What is known of shortcuts in this field, each a sentence with its source."""
