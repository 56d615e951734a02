"""Rules that prepared volumes are checked against.

What is usual differs between structures: a spinal cord is cut off by every scan, bones come in pieces. So pieces, faces
and sizes are compared with the same structure in the other volumes of its dataset. The values measured on OpenKBP (172
volumes) are noted beside the thresholds.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from ...sides import opposite
from .finding import CheckedImage, Finding
from .volume_facts import VolumeFacts, VolumeRegion

__all__ = ["VOLUME_RULES"]

OUTSIDE = 0.1  # fraction of a structure outside the convex hull of the body
USUAL = 0.2  # fraction of the volumes: what occurs less often is unusual
FEW = 5  # volumes; fewer do not show what is usual
UNUSUAL = 6.0  # robust standard deviations of the logarithm of the volume
SPACING = (0.1, 12.0)  # mm
FACTOR = 2.5  # between a spacing and the median of its dataset

Found = list[tuple[CheckedImage, VolumeRegion]]


def _measured(images: Sequence[CheckedImage]) -> Iterator[tuple[CheckedImage, VolumeFacts]]:
    return ((image, image.facts) for image in images if isinstance(image.facts, VolumeFacts))


def _by_structure(images: Sequence[CheckedImage]) -> dict[tuple[str, str], Found]:
    groups: defaultdict[tuple[str, str], Found] = defaultdict(list)
    for image, facts in _measured(images):
        for name, region in facts.regions.items():
            groups[image.item["dataset"], name].append((image, region))
    return groups


def sides(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find structures whose names say right but that lie left of their counterparts."""
    for image, facts in _measured(images):
        for name, region in facts.regions.items():
            other = facts.regions.get(opposite(name) or "")
            if other and region.centre[0] < other.centre[0]:
                distance = other.centre[0] - region.centre[0]
                text = f"{image.name}: {name} lies {distance:.0f} mm left of {opposite(name)}"
                yield Finding("left and right exchanged", text, [image], name)


def outside_body(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find structures outside the body."""
    for image, facts in _measured(images):
        for name, region in facts.regions.items():
            if region.outside > OUTSIDE and not facts.blank:
                yield Finding(
                    "annotation outside the body", f"{image.name}: {region.outside:.0%} of {name}", [image], name
                )


def pieces(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find structures in several pieces, where they usually are in one."""
    for (_, name), found in _by_structure(images).items():
        broken = [(image, region) for image, region in found if region.pieces > 1]
        if len(found) < FEW or len(broken) <= USUAL * len(found):
            for image, region in broken:
                text = f"{image.name}: {name} in {region.pieces} pieces, the largest has {region.largest:.1%}"
                yield Finding("structure in pieces", text, [image], name)


def cut_off(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find structures that end at a face of the volume, where they usually do not."""
    for (_, name), found in _by_structure(images).items():
        if len(found) < FEW:
            continue
        for face in dict.fromkeys(face for _, region in found for face in region.faces):
            there = [image for image, region in found if face in region.faces]
            if len(there) <= USUAL * len(found):
                for image in there:
                    text = (
                        f"{image.name}: {name} ends at the {face} face of the volume; {len(there)} of {len(found)} do"
                    )
                    yield Finding("structure cut off", text, [image], name)


def sizes(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find structures whose volume differs much from the others of the dataset."""
    for (_, name), found in _by_structure(images).items():
        volume = np.array([region.millilitres for _, region in found])
        deviation = np.log(volume) - np.median(np.log(volume))
        spread = 1.4826 * np.median(np.abs(deviation))  # the standard deviation of a normal distribution
        if len(found) >= 2 * FEW and spread > 0:
            for position in np.flatnonzero(np.abs(deviation) > UNUSUAL * spread):
                image = found[position][0]
                text = f"{image.name}: {name} has {volume[position]:.2f} ml, the median is {np.median(volume):.2f}"
                yield Finding("unusual volume", text, [image], name)


def spacings(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find volumes whose spacing is implausible, or unlike that of the others."""
    groups: defaultdict[str, list[tuple[CheckedImage, VolumeFacts]]] = defaultdict(list)
    for image, facts in _measured(images):
        groups[image.item["dataset"]].append((image, facts))
    for found in groups.values():
        median = np.median([facts.spacing for _, facts in found], axis=0)
        for image, facts in found:
            ratio = np.array(facts.spacing) / median
            if not all(SPACING[0] <= length <= SPACING[1] for length in facts.spacing):
                yield Finding("implausible spacing", f"{image.name}: {[*facts.spacing]} mm", [image])
            elif max(ratio.max(), 1 / ratio.min()) > FACTOR:
                text = (
                    f"{image.name}: {[*facts.spacing]} mm, the median of {image.item['dataset']} is {median.tolist()}"
                )
                yield Finding("implausible spacing", text, [image])


VOLUME_RULES = (sides, outside_body, pieces, cut_off, sizes, spacings)
