"""What can be turned on a simulated scene."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, model_validator

SMALLEST_SIDE = 48.0  # m: below it the four kinds of blocks have no room
LONGEST_WAVELENGTH = 2500.0  # nm
SHORTEST_WAVELENGTH = 350.0  # nm: the material models say nothing beyond these two


class SimulationOptions(BaseModel):
    """A simulated scene's size, sensor and difficulty; the defaults are the embedded quick scene."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = Field(default=0, ge=0, description="decides everything that is drawn at random")
    height: int = Field(default=112, ge=48, description="rows")
    width: int = Field(default=112, ge=48, description="columns")
    bands: int = Field(default=64, ge=8, description="number of hyperspectral bands, evenly spaced")
    wavelength_range: tuple[float, float] = Field(
        default=(400.0, 1000.0), description="centres of the first and the last band, nm"
    )
    gsd: float = Field(default=1.0, ge=0.5, le=2.0, description="ground sampling distance, m")
    sun_elevation: float = Field(default=52.0, ge=20.0, le=85.0, description="sun above the horizon, degrees")
    sun_azimuth: float = Field(default=150.0, ge=0.0, le=360.0, description="sun clockwise from north (up), degrees")
    noise: float = Field(
        default=0.007, ge=0.0, le=0.2, description="sensor noise at mid spectrum, reflectance (standard deviation)"
    )
    lidar_noise: float = Field(
        default=0.15, ge=0.0, le=2.0, description="noise of the height above ground, m (standard deviation)"
    )
    mixing: float = Field(
        default=0.6, ge=0.0, le=3.0, description="width of the sensor's footprint, pixels (standard deviation)"
    )
    within_class_variety: float = Field(
        default=1.0, ge=0.0, le=3.0, description="how far objects of one class differ in material, 1 = as in the field"
    )
    unlabelled: float = Field(
        default=0.2, ge=0.0, le=0.9, description="share of every class left unlabelled in patches, borders apart"
    )

    @model_validator(mode="after")
    def _consistent(self) -> SimulationOptions:
        first, last = self.wavelength_range
        if not SHORTEST_WAVELENGTH <= first < last <= LONGEST_WAVELENGTH:
            raise ValueError(
                f"wavelength_range: found {first:g}..{last:g} nm, expected first < last within "
                f"{SHORTEST_WAVELENGTH:g}..{LONGEST_WAVELENGTH:g} nm"
            )
        side = min(self.height, self.width) * self.gsd
        if side < SMALLEST_SIDE:
            raise ValueError(
                f"the shorter side is {side:g} m (pixels times gsd), expected at least {SMALLEST_SIDE:g} m, "
                "so that every class finds room"
            )
        return self
