"""The two networks: a ResNet-50, and one that weighs its last channels by attention.

`melaudit ... --factory networks.py:attention` builds the second one, as a user's own model file
does. With MELANOMA_SMALL=1 both are small ones of the same build, for a try on a CPU.
"""

import os

import torch
from torch import Tensor, nn
from torchvision.models import ResNet
from torchvision.models.resnet import Bottleneck

SIDE = 64
"""Side of the images in pixels. Attention looks at whole maps, so its width depends on it."""
CLASSES = 2


def resnet() -> ResNet:
    """Build a ResNet-50, or one of four blocks."""
    if os.environ.get("MELANOMA_SMALL"):
        return ResNet(Bottleneck, [1, 1, 1, 1], num_classes=CLASSES, width_per_group=16)
    return ResNet(Bottleneck, [3, 4, 6, 3], num_classes=CLASSES)


class ChannelAttention(nn.Module):
    """A ResNet whose last channels are added up with weights of its own; returns both.

    A gate, tanh times sigmoid, scores the map of each channel, and a softmax makes weights of the
    scores (gated attention: Ilse et al. 2018).
    """

    def __init__(self) -> None:
        super().__init__()
        self.trunk = resnet()
        self.channels = self.trunk.fc.in_features
        self.trunk.fc = nn.Identity()
        places = (SIDE // 32) ** 2
        self.shape, self.gate = nn.Linear(places, 32), nn.Linear(places, 32)
        self.score = nn.Linear(32, 1)
        self.head = nn.Linear(places, CLASSES)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, 2) and the weight of each channel (N, C)."""
        trunk = self.trunk
        x = trunk.maxpool(trunk.relu(trunk.bn1(trunk.conv1(x))))
        maps = trunk.layer4(trunk.layer3(trunk.layer2(trunk.layer1(x)))).flatten(2)
        scores = self.score(self.shape(maps).tanh() * self.gate(maps).sigmoid())
        weights = torch.softmax(scores, 1)
        # Softmax weights are about one over the number of channels; the root keeps the scale.
        return self.head((weights * maps).sum(1) * self.channels**0.5), weights.squeeze(2)


def attention() -> ChannelAttention:
    """Build the network with attention."""
    return ChannelAttention()
