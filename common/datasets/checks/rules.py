"""Rules that prepared images are checked against.

The thresholds let real annotations pass; the values measured on CAMUS (898 images, four-chamber view, prepared with 256
rows and columns) are noted beside them.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

import numpy as np

from ...label_sets import IGNORE
from .finding import CheckedImage, Finding
from .image_facts import CRUMB, ImageFacts, Region
from .volume_facts import VolumeFacts
from .volume_rules import VOLUME_RULES

__all__ = ["RULES"]

OUTSIDE = 0.15  # fraction of all structures outside the sector; CAMUS: median 0.006, 99 % below 0.07, at most 0.135
LV_OUTSIDE = 0.02  # fraction of the LV cavity outside the sector; CAMUS: two of 898 images have more
LV_LENGTH = (30.0, 150.0)  # mm; CAMUS: 49 to 113
SIDE = (50.0, 400.0)  # mm, sides of an ultrasound image; CAMUS: 90 to 282
BELOW = 0.03  # fraction of the image height by which the myocardium may be below the LV cavity; CAMUS: at most 0.014
ALIKE = 6  # of 256 bits; copies (JPEG, noise, gamma, half size) differ in 5 at most, CAMUS's patients in 13 at least
DETAIL = 32  # bits set in a fingerprint; images with fewer have too little detail to compare
UNUSUAL = 6.0  # robust standard deviations of the logarithm of the area; CAMUS: at most 3.6
FEW = 10  # images; fewer do not show what is usual

Rule = Callable[[Sequence[CheckedImage]], Iterator[Finding]]


def _group(images: Iterable[CheckedImage], key: Callable[[CheckedImage], Hashable]) -> Iterable[list[CheckedImage]]:
    groups: defaultdict[Hashable, list[CheckedImage]] = defaultdict(list)
    for image in images:
        groups[key(image)].append(image)
    return groups.values()


def _measured(images: Iterable[CheckedImage]) -> Iterator[tuple[CheckedImage, ImageFacts]]:
    return ((image, image.facts) for image in images if isinstance(image.facts, ImageFacts))


def _ventricles(images: Iterable[CheckedImage]) -> dict[CheckedImage, Region]:
    return {image: facts.regions["lv_cavity"] for image, facts in _measured(images) if "lv_cavity" in facts.regions}


def _amount(area: float, physical: bool) -> str:
    return f"{area:.0f} mm2" if physical else f"{area:.2f} % of the image"


def _area(image: CheckedImage, region: Region, physical: bool) -> float:
    """Return mm2, or percent of the image: images may keep their own sizes."""
    if physical and image.spacing:
        return region.area * math.prod(image.spacing)
    return 100 * region.area / math.prod(image.facts.shape if image.facts else (1,))


def _names(images: Sequence[CheckedImage]) -> str:
    more = f" and {len(images) - 3} more" if len(images) > 3 else ""
    return ", ".join(f"{image.name} ({image.item['fold']})" for image in images[:3]) + more


def patients_in_two_folds(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find patients with images in more than one fold, within and across folders."""
    for group in _group(images, lambda image: image.patient):
        examples = [some[0] for some in _group(group, lambda image: image.item["fold"])]
        if len(examples) > 1:
            who = f"{group[0].item['dataset']} {group[0].item['patient']}"
            yield Finding("patient in two folds", f"{who}: {_names(examples)}", examples)


def same_pixels(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find images that occur more than once, within and across folders."""
    shown = [image for image in images if image.facts and not image.facts.blank]
    for group in _group(shown, lambda image: image.facts and image.facts.pixels):
        if len(group) > 1:
            kind = "image twice in a fold"
            if len({image.item["fold"] for image in group}) > 1:
                kind = "image in two folds"
            elif len({image.patient for image in group}) == 1 and len({image.item.get("phase") for image in group}) > 1:
                kind = "one image for ED and ES"
            yield Finding(kind, f"{_names(group)} are the same image", group)


def like_another_patient(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find images that are almost identical to another patient's, such as another release of the same examination."""
    distinct = list({facts.pixels: (image, facts) for image, facts in _measured(images)}.values())
    prints = np.array([facts.fingerprint for _, facts in distinct], np.uint64).reshape(-1, 4)
    detailed = np.bitwise_count(prints).sum(axis=1) >= DETAIL
    numbers = {patient: number for number, patient in enumerate({image.patient for image, _ in distinct})}
    patient = np.array([numbers[image.patient] for image, _ in distinct])
    for index in np.flatnonzero(detailed):
        differing = np.bitwise_count(prints[:index] ^ prints[index]).sum(axis=1)
        differing[(patient[:index] == patient[index]) | ~detailed[:index]] = 256
        if index and differing.min() <= ALIKE:
            pair = [distinct[differing.argmin()][0], distinct[index][0]]
            text = f"{_names(pair)} differ in {differing.min()} of 256 bits of their fingerprints"
            yield Finding("image like another patient's", text, pair)


def single_images(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find images with wrong or implausible annotation, orientation or spacing."""
    for image in images:
        if image.facts is None:
            continue
        found = [*_values(image, image.facts), *_presence(image, image.facts)]
        if isinstance(image.facts, ImageFacts):
            for rule in (_shapes, _orientation, _sector, _spacing):
                found += rule(image, image.facts)
        for kind, text in found:
            yield Finding(kind, f"{image.name}{text}", [image])


def _values(image: CheckedImage, facts: ImageFacts | VolumeFacts) -> Iterator[tuple[str, str]]:
    values, known = list(facts.values), image.label_sets
    if known and (unknown := [value for value in values if value not in known]):
        yield "unknown annotation value", f" has the values {unknown}; the label sets name {list(known)}"
    if (listed := image.item.get("values", values)) != values:
        yield "values unlike the datalist's", f" has the values {values}; the datalist lists {listed}"


def _presence(image: CheckedImage, facts: ImageFacts | VolumeFacts) -> Iterator[tuple[str, str]]:
    if facts.blank:
        yield "blank image", " has one grey value"
    ignored = [value for value in facts.values if list(image.label_sets.get(value, ())) == [IGNORE]]
    if ignored and not facts.regions:
        yield "nothing but ignored pixels", f" has no structure; its values {ignored} are stated as {IGNORE!r}"
    elif absent := [name for name in image.annotated if name not in facts.regions]:
        yield "structure absent" if facts.regions else "empty annotation", f" has no {', '.join(absent)}"


def _shapes(_: CheckedImage, facts: ImageFacts) -> Iterator[tuple[str, str]]:
    for name, region in facts.regions.items():
        if region.pieces > 1:
            text = f": {name} in {region.pieces} pieces, the largest has {region.largest:.1%}"
            yield "structure in pieces", text
    if lv := facts.regions.get("lv_cavity"):
        if lv.hole > CRUMB:
            yield "hole in the LV cavity", f": {lv.hole:.1%} of the LV cavity"
        if lv.at_border:
            yield "LV cavity at the image border", ""


def _orientation(_: CheckedImage, facts: ImageFacts) -> Iterator[tuple[str, str]]:
    lv, wall, atrium = (facts.regions.get(name) for name in ("lv_cavity", "lv_myocardium", "left_atrium"))
    if lv and atrium and atrium.height > lv.height:
        yield "upside down", ": the left atrium is above the LV cavity"
    elif lv and not atrium and wall and wall.height < lv.height - BELOW:
        yield "upside down", ": the myocardium is below the LV cavity"


def _sector(image: CheckedImage, facts: ImageFacts) -> Iterator[tuple[str, str]]:
    lv = facts.regions["lv_cavity"].outside if "lv_cavity" in facts.regions else 0.0
    outside = image.item.get("outside_sector", facts.outside)  # the datalist has the value before squashing
    if not facts.blank and (outside > OUTSIDE or lv > LV_OUTSIDE):
        yield "annotation outside the sector", f": {outside:.1%} of the annotation, {lv:.1%} of the LV cavity"


def _spacing(image: CheckedImage, facts: ImageFacts) -> Iterator[tuple[str, str]]:
    sides = [side * step for side, step in zip(facts.shape, image.spacing or (), strict=False)]
    length = facts.regions["lv_cavity"].length if "lv_cavity" in facts.regions else LV_LENGTH[0]
    if image.item.get("spacing") is None:
        return
    shortest, longest = SIDE if image.modality in (None, "US") else (0.0, math.inf)
    if not sides or not all(shortest <= side <= longest for side in sides):
        stated = image.item["spacing"]
        stated = [float(f"{one:.4g}") for one in image.spacing] if image.spacing else stated
        extent = f", sides of {' and '.join(f'{side:.3g}' for side in sides)} mm" if sides else ""
        yield "implausible spacing", f": {stated} mm per pixel of {facts.shape[0]}x{facts.shape[1]}{extent}"
    elif not LV_LENGTH[0] <= length <= LV_LENGTH[1]:
        yield "implausible spacing", f": an LV cavity of {length:.0f} mm"


def phases(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find patients whose LV cavity is smaller at end-diastole than at end-systole."""
    ventricles = _ventricles(image for image in images if image.item.get("phase") in ("ED", "ES"))
    for group in _group(ventricles, lambda image: (image.folder, image.patient, image.item.get("view"))):
        group = sorted(group, key=lambda image: str(image.item["phase"]))
        if [image.item["phase"] for image in group] != ["ED", "ES"]:
            continue
        physical = all(image.spacing for image in group)
        ed, es = (_area(image, ventricles[image], physical) for image in group)
        if ed < es:
            text = f"{group[0].name}: LV cavity {_amount(ed, physical)} at ED, {_amount(es, physical).split()[0]} at ES"
            yield Finding("ED smaller than ES", text, group)


def areas(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Find LV cavities whose area differs much from the others of the same dataset and phase."""
    ventricles = _ventricles(images)
    for group in _group(ventricles, lambda image: (image.item["dataset"], image.item.get("phase"), not image.spacing)):
        area = np.array([_area(image, ventricles[image], physical=True) for image in group])
        deviation = np.log(area) - np.median(np.log(area))
        spread = 1.4826 * np.median(np.abs(deviation))  # the standard deviation of a normal distribution
        if len(group) >= FEW and spread > 0:
            for position in np.flatnonzero(np.abs(deviation) > UNUSUAL * spread):
                image = group[position]
                found, usual = (_amount(one, bool(image.spacing)) for one in (area[position], np.median(area)))
                text = f"{image.name}: LV cavity {found}, the median is {usual.split()[0]}"
                yield Finding("unusual LV area", text, [image])


def missing_spacings(images: Sequence[CheckedImage]) -> Iterator[Finding]:
    """Count images without spacing."""
    for group in _group(images, lambda image: (image.folder, image.item["dataset"])):
        if missing := sum(image.item.get("spacing") is None for image in group):
            text = f"{group[0].folder.name}: {missing} of {len(group)} images of {group[0].item['dataset']} have none"
            yield Finding("spacing missing", text)


RULES: tuple[Rule, ...] = (
    patients_in_two_folds,
    same_pixels,
    like_another_patient,
    single_images,
    phases,
    areas,
    missing_spacings,
    *VOLUME_RULES,
)
