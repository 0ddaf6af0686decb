"""The classes of a simulated scene: names, texts and colours, and the kinds of surface each is made of."""

from __future__ import annotations

from typing import NamedTuple


class LandCover(NamedTuple):
    """One class of the ground truth.

    Attributes:
        name: as written in tables and prompts.
        colour: "#rrggbb" for maps; neighbours in hue differ in lightness, for colour-blind readers.
        description: appearance, material, height and surroundings, one sentence each.
        kinds: surfaces annotated as this class; each has its own material model.
    """

    name: str
    colour: str
    description: str
    kinds: tuple[str, ...]


LAND_COVER = (
    LandCover(
        "grass",
        "#a6d854",
        "Even, bright green areas with yellowish dry spots. Living grass with strong near-infrared reflectance. "
        "A few centimetres high. It surrounds houses and ponds and lines fields.",
        ("lawn", "meadow"),
    ),
    LandCover(
        "crops",
        "#e6c700",
        "Large parcels with parallel rows in green and brown. Field plants with soil showing between them. "
        "From ankle to hip height. They border on bare fields, verges and country roads.",
        ("crop",),
    ),
    LandCover(
        "trees",
        "#00613b",
        "Round, rough, dark green crowns that cast long shadows. Leaves with a steep red edge. "
        "Between three and fourteen metres high. They stand in gardens and parks and along streets.",
        ("broadleaf", "conifer"),
    ),
    LandCover(
        "bare soil",
        "#8c510a",
        "Brown parcels with hardly any plants. Ploughed earth whose reflectance rises smoothly with wavelength. "
        "At ground level. It borders on crops, verges and country roads.",
        ("soil",),
    ),
    LandCover(
        "road",
        "#4d4d4d",
        "Long, narrow, dark grey bands. Asphalt with low and nearly flat reflectance. "
        "At ground level. It runs between blocks and is lined by pavements or verges.",
        ("roadway",),
    ),
    LandCover(
        "parking lot",
        "#9e9ac8",
        "Wide dark grey areas with rows of bright and dark cars. Asphalt with car paint in between. "
        "At ground level, cars one to two metres high. It lies beside large flat buildings.",
        ("lot", "car"),
    ),
    LandCover(
        "pavement",
        "#d9d9d9",
        "Narrow light grey strips and paths. Concrete slabs with flat, rather bright reflectance. "
        "At ground level. It runs between roads and gardens and leads to houses.",
        ("concrete",),
    ),
    LandCover(
        "tile roof",
        "#d7301f",
        "Small rectangles in red to brown with one sunlit and one darker side. Fired clay rich in iron oxide. "
        "Gabled, four to nine metres high. It is surrounded by lawns and trees.",
        ("tile",),
    ),
    LandCover(
        "flat roof",
        "#542788",
        "Large rectangles in even dark or light grey. Bitumen sheets or gravel, in colour like asphalt or concrete. "
        "Level, three to eleven metres high. It stands beside parking lots or is attached to houses.",
        ("bitumen", "gravel"),
    ),
    LandCover(
        "water",
        "#4393c3",
        "A smooth, very dark patch with a curved shore. Water that absorbs nearly all near-infrared light. "
        "At ground level and perfectly flat. It is surrounded by grass and trees.",
        ("water",),
    ),
)

KINDS = tuple(kind for cover in LAND_COVER for kind in cover.kinds)
LABEL_OF_KIND = {kind: label for label, cover in enumerate(LAND_COVER, start=1) for kind in cover.kinds}
