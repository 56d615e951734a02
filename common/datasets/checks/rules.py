"""The rules that prepared images are checked against; each looks at all of them and yields what it finds.

Thresholds let real annotations pass. What was measured for them on CAMUS (898 images, four-chamber view, prepared with
256 pixels a side) stands beside them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

import numpy as np

from .finding import CheckedImage, Finding
from .image_facts import CRUMB, ImageFacts, Region

__all__ = ["RULES"]

OUTSIDE = 0.15  # share of all structures outside the sector; CAMUS: median 0.006, 99 % below 0.07, largest 0.135
LV_OUTSIDE = 0.02  # share of the LV cavity outside the sector; CAMUS: two of 898 images lie above
LV_LENGTH = (30.0, 150.0)  # mm; CAMUS: 49 to 113
SIDE = (50.0, 400.0)  # mm a side of the image; CAMUS: 90 to 282
BELOW = 0.03  # share of the image by which the myocardium's centroid may lie below the LV's; CAMUS: at most 0.014
ALIKE = 6  # of 256 bits; copies (JPEG, noise, gamma, halved) differ in 5 at most, CAMUS's patients in 13 at least
DETAIL = 32  # bits set in a fingerprint; an image with fewer is too plain to compare
UNUSUAL = 6.0  # robust standard deviations of the logarithm of the area; CAMUS: at most 3.6
FEW = 10  # images, too few to tell what is usual


def _grouped(
    images: Iterable[CheckedImage], key: Callable[[CheckedImage], Hashable]
) -> dict[Hashable, list[CheckedImage]]:
    groups: defaultdict[Hashable, list[CheckedImage]] = defaultdict(list)
    for image in images:
        groups[key(image)].append(image)
    return dict(groups)


def _measured(images: Iterable[CheckedImage]) -> Iterator[tuple[CheckedImage, ImageFacts]]:
    return ((image, image.facts) for image in images if image.facts is not None)


def _ventricles(images: Iterable[CheckedImage]) -> Iterator[tuple[CheckedImage, Region]]:
    for image, facts in _measured(images):
        if "lv_cavity" in facts.regions:
            yield image, facts.regions["lv_cavity"]


def _names(images: Sequence[CheckedImage]) -> str:
    more = f" and {len(images) - 3} more" if len(images) > 3 else ""
    return ", ".join(f"{image.name} ({image.item['fold']})" for image in images[:3]) + more


def patients_in_two_folds(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find patients whose images lie in more than one fold, also across folders."""
    for group in _grouped(images, lambda image: image.patient).values():
        by_fold = _grouped(group, lambda image: image.item["fold"])
        if len(by_fold) > 1:
            examples = [some[0] for some in by_fold.values()]
            dataset, patient = group[0].patient
            yield Finding("patient in two folds", group[0].folder, f"{dataset} {patient}: {_names(examples)}", examples)


def same_pixels(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find images that occur more than once, within and across folders."""
    told = [image for image, facts in _measured(images) if not facts.blank]
    for group in _grouped(told, lambda image: image.facts and image.facts.pixels).values():
        if len(group) > 1:
            kind = "image twice in a fold"
            if len({image.item["fold"] for image in group}) > 1:
                kind = "image in two folds"
            elif len({image.patient for image in group}) == 1 and len({image.item.get("phase") for image in group}) > 1:
                kind = "one image for ED and ES"
            yield Finding(kind, group[0].folder, f"{_names(group)} are the same image", group)


def like_another_patient(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find images that are nearly those of another patient, such as another release of the same examination."""
    told = list({facts.pixels: (image, facts) for image, facts in _measured(images)}.values())
    prints = np.array([facts.fingerprint for _, facts in told], np.uint64).reshape(-1, 4)
    detailed = np.bitwise_count(prints).sum(axis=1) >= DETAIL
    numbers = {patient: number for number, patient in enumerate({image.patient for image, _ in told})}
    patient = np.array([numbers[image.patient] for image, _ in told])
    for index in np.flatnonzero(detailed):
        differing = np.bitwise_count(prints[:index] ^ prints[index]).sum(axis=1)
        differing[(patient[:index] == patient[index]) | ~detailed[:index]] = 256
        if index and differing.min() <= ALIKE:
            pair = [told[differing.argmin()][0], told[index][0]]
            text = f"{_names(pair)} differ in {differing.min()} of 256 bits of their fingerprints"
            yield Finding("image like another patient's", pair[1].folder, text, pair)


def annotation_values(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find annotation values that no label set names, or that the datalist tells differently."""
    for image, facts in _measured(images):
        known = len(image.label_sets)
        if known and (unknown := [value for value in facts.values if value >= known]):
            text = f"{image.name} holds the values {unknown}, the label sets of its dataset name 0 to {known - 1}"
            yield Finding("unknown annotation value", image.folder, text, [image])
        if image.item.get("values", list(facts.values)) != list(facts.values):
            text = f"{image.name} holds {list(facts.values)}, the datalist tells {image.item['values']}"
            yield Finding("values unlike the datalist's", image.folder, text, [image])


def nothing_there(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find blank images, empty annotations, and structures that the dataset annotates but the image lacks."""
    for image, facts in _measured(images):
        if facts.blank:
            yield Finding("blank image", image.folder, f"{image.name} has one grey value", [image])
        absent = [name for name in image.annotated if name not in facts.regions]
        if image.annotated and not facts.regions:
            yield Finding("empty annotation", image.folder, f"{image.name} has no {', '.join(absent)}", [image])
        elif absent:
            yield Finding("structure absent", image.folder, f"{image.name} has no {', '.join(absent)}", [image])


def shapes(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find structures in pieces, and an LV cavity with a hole or at the border of the image."""
    for image, facts in _measured(images):
        for name, region in facts.regions.items():
            if region.pieces > 1:
                text = f"{image.name}: {name} in {region.pieces} pieces, the largest holds {region.largest:.1%}"
                yield Finding("structure in pieces", image.folder, text, [image])
    for image, region in _ventricles(images):
        if region.hole > CRUMB:
            text = f"{image.name}: {region.hole:.1%} of the LV cavity"
            yield Finding("hole in the LV cavity", image.folder, text, [image])
        if region.at_border:
            yield Finding("LV cavity at the image border", image.folder, image.name, [image])


def orientation(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find images whose atrium lies above the ventricle, or whose myocardium opens upwards."""
    for image, lv in _ventricles(images):
        regions = image.facts.regions if image.facts else {}
        atrium, wall = regions.get("left_atrium"), regions.get("lv_myocardium")
        if atrium and atrium.height > lv.height:
            text = f"{image.name}: the left atrium lies above the LV cavity"
        elif not atrium and wall and wall.height < lv.height - BELOW:
            text = f"{image.name}: the myocardium lies below the LV cavity"
        else:
            continue
        yield Finding("upside down", image.folder, text, [image])


def outside_the_sector(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find annotations that lie where the scanner shows nothing."""
    for image, facts in _measured(images):
        lv = facts.regions["lv_cavity"].outside if "lv_cavity" in facts.regions else 0.0
        share = image.item.get("outside_sector", facts.outside)  # measured before the image was squashed, if it is told
        if not facts.blank and (share > OUTSIDE or lv > LV_OUTSIDE):
            text = f"{image.name}: {share:.1%} of the annotation, {lv:.1%} of the LV cavity"
            yield Finding("annotation outside the sector", image.folder, text, [image])


def phases(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find patients whose LV cavity is smaller at end-diastole than at end-systole."""
    told = dict(_ventricles(image for image in images if image.item.get("phase") in ("ED", "ES")))
    for group in _grouped(told, lambda image: (image.folder, image.patient, image.item.get("view"))).values():
        group = sorted(group, key=lambda image: str(image.item["phase"]))
        if [image.item["phase"] for image in group] != ["ED", "ES"]:
            continue
        unit = "mm2" if all(image.spacing for image in group) else "pixels"
        ed, es = (told[image].area * (math.prod(image.spacing or ()) if unit == "mm2" else 1) for image in group)
        if ed < es:
            text = f"{group[0].name}: LV cavity {ed:.0f} {unit} at ED, {es:.0f} at ES"
            yield Finding("ED smaller than ES", group[0].folder, text, group)


def areas(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find LV cavities whose area is unlike that of the others of the dataset in the same phase."""
    told = dict(_ventricles(images))
    for group in _grouped(
        told, lambda image: (image.item["dataset"], image.item.get("phase"), not image.spacing)
    ).values():
        area = np.array([told[image].area * math.prod(image.spacing or (1,)) for image in group])
        deviation = np.log(area) - np.median(np.log(area))
        spread = 1.4826 * np.median(np.abs(deviation))  # of a normal distribution this is the standard deviation
        if len(group) >= FEW and spread > 0:
            for position in np.flatnonzero(np.abs(deviation) > UNUSUAL * spread):
                image = group[position]
                unit = "mm2" if image.spacing else "pixels"
                text = f"{image.name}: LV cavity {area[position]:.0f} {unit}, the median is {np.median(area):.0f}"
                yield Finding("unusual LV area", image.folder, text, [image])


def spacings(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find spacings that make the image or the LV implausibly large or small, and count what has none."""
    for image, facts in _measured(images):
        if image.item.get("spacing") is None:
            continue
        sides = [facts.size * step for step in image.spacing or ()]
        length = facts.regions["lv_cavity"].length if "lv_cavity" in facts.regions else LV_LENGTH[0]
        if not sides or not all(SIDE[0] <= side <= SIDE[1] for side in sides):
            text = f"{image.name}: {image.item['spacing']} mm per pixel of {facts.size}x{facts.size}"
            yield Finding("implausible spacing", image.folder, text, [image])
        elif not LV_LENGTH[0] <= length <= LV_LENGTH[1]:
            text = f"{image.name}: an LV cavity of {length:.0f} mm"
            yield Finding("implausible spacing", image.folder, text, [image])
    for group in _grouped(images, lambda image: (image.folder, image.item["dataset"])).values():
        if missing := sum(image.item.get("spacing") is None for image in group):
            text = f"{group[0].folder.name}: {missing} of {len(group)} images of {group[0].item['dataset']} have none"
            yield Finding("spacing missing", group[0].folder, text)


RULES: tuple[Callable[[Sequence[CheckedImage]], Iterator[Finding]], ...] = (
    patients_in_two_folds,
    same_pixels,
    like_another_patient,
    annotation_values,
    nothing_there,
    shapes,
    orientation,
    outside_the_sector,
    phases,
    areas,
    spacings,
)
