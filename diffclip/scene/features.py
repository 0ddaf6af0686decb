"""Hand-made features of a whole scene: window means, principal components and morphological profiles.

No label is involved, but all of it is computed over the whole scene, test pixels included; what reaches how far is said
by each function. Features of one `Imagery` are computed once per process and shared by all runs on it.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import numpy as np
from jaxtyping import Float32

from diffclip.errors import UserError
from diffclip.scene.scene import Imagery, Scaling

RADII = (1, 2, 4, 6)  # pixels, of the disks of morphological profiles
_PER_IMAGE = 1 + 2 * len(RADII)
Made = TypeVar("Made")

# Keyed by the imagery itself, which is immutable and hashed by identity: an entry cannot go stale and dies with it.
_made: WeakKeyDictionary[Imagery, dict[Hashable, Any]] = WeakKeyDictionary()


def window_means(
    imagery: Imagery, scales: tuple[int, ...], *, use_aux: bool = True, scaling: Scaling = "standard"
) -> Float32[np.ndarray, "pixels D"]:
    """Return the mean of every scaled channel over centred windows of several sizes.

    Args:
        imagery: what the sensors saw.
        scales: odd sides of the windows in pixels; 1 is the pixel itself. Beyond the border the scene is mirrored.
        use_aux: also average the auxiliary channels.
        scaling: how channels are scaled before they are averaged.

    Returns:
        (H * W, len(scales) * (B + C)), scale after scale, read-only; a row depends on pixels within max(scales) // 2.

    Raises:
        UserError: no scale, or one that is not a positive odd number.
    """
    if not scales or any(side < 1 or side % 2 == 0 for side in scales):
        raise UserError(f"scales: found {scales}, expected odd numbers from 1 on")

    def make() -> np.ndarray:
        from scipy.ndimage import uniform_filter

        hsi, aux = imagery.scaled(scaling)
        channels = np.concatenate([hsi, aux], axis=2) if use_aux else hsi
        means = [uniform_filter(channels, size=(side, side, 1), mode="mirror") for side in scales]
        return np.concatenate(means, axis=2).reshape(imagery.n_pixels, -1)

    return once(imagery, ("means", scales, use_aux, scaling), make)


def principal_components(array: Float32[np.ndarray, "H W B"], n: int) -> Float32[np.ndarray, "H W n"]:
    """Return the projections of all pixels, centred but not whitened, on the first `n` principal axes.

    The sign of each axis is chosen so that its largest loading is positive.

    Raises:
        UserError: `n` lies outside 1..B.
    """
    bands = array.shape[2]
    if not 1 <= n <= bands:
        raise UserError(f"components: found {n}, expected 1..{bands} for {bands} bands")
    rows = array.reshape(-1, bands).astype(np.float64)
    rows -= rows.mean(axis=0)
    _, axes = np.linalg.eigh(rows.T @ rows / len(rows))  # columns, by ascending variance
    axes = axes[:, ::-1][:, :n]
    largest = np.abs(axes).argmax(axis=0)
    axes = axes * np.sign(axes[largest, np.arange(n)])
    return (rows @ axes).reshape(*array.shape[:2], n).astype(np.float32)


def whitened_components(array: Float32[np.ndarray, "H W B"], n: int) -> Float32[np.ndarray, "H W n"]:
    """Return the first `n` principal components, each of unit deviation."""
    found = principal_components(array, n)
    return standardised(found.reshape(-1, n)).reshape(found.shape)


def morphological_profiles(
    imagery: Imagery, *, components: int = 5, radii: tuple[int, ...] = RADII, use_aux: bool = True
) -> Float32[np.ndarray, "pixels D"]:
    """Return the extended morphological profile (Benediktsson et al. 2005, doi:10.1109/TGRS.2004.842478).

    Base images are the first principal components of the standardised cube and, with `use_aux`, every standardised
    auxiliary channel. Each contributes itself and, for every radius, its opening and closing by reconstruction with a
    disk. Columns are standardised over the scene. Reconstruction has no finite reach: a row may depend on any pixel.

    Args:
        imagery: what the sensors saw.
        components: number of principal components; all of them where the cube has fewer bands.
        radii: radii of the disks in pixels.
        use_aux: also profile the auxiliary channels.

    Returns:
        (H * W, images * (1 + 2 * len(radii))), image after image, read-only.

    Raises:
        UserError: a radius below 1, or less than one component.
    """
    if any(radius < 1 for radius in radii):
        raise UserError(f"radii: found {radii}, expected numbers from 1 on")

    def make() -> np.ndarray:
        hsi, aux = imagery.scaled("standard")
        images = principal_components(hsi, min(components, hsi.shape[2]))
        if use_aux:
            images = np.concatenate([images, aux], axis=2)
        profiles = [profile(images[:, :, channel], radii) for channel in range(images.shape[2])]
        return standardised(np.concatenate(profiles, axis=2).reshape(imagery.n_pixels, -1))

    return once(imagery, ("profiles", components, radii, use_aux), make)


def modality_profiles(imagery: Imagery) -> dict[str, Float32[np.ndarray, "H W D"]]:
    """Return the columns of `morphological_profiles` that come from each modality, as rasters by its name."""
    columns = morphological_profiles(imagery).reshape(*imagery.shape, -1)
    first = columns.shape[2] - _PER_IMAGE * imagery.aux.shape[2]
    found = {"hsi": columns[..., :first]}
    for name, channels in imagery.aux_channels.items():
        places = [first + _PER_IMAGE * channel + k for channel in channels for k in range(_PER_IMAGE)]
        found[name] = columns[..., places]
    return found


def profile(image: Float32[np.ndarray, "H W"], radii: tuple[int, ...]) -> Float32[np.ndarray, "H W D"]:
    """Return the image, then its opening and closing by reconstruction for every radius: D = 1 + 2 * len(radii)."""
    from skimage.morphology import dilation, disk, erosion, reconstruction

    layers = [image]
    for radius in radii:
        footprint = disk(radius)
        layers.append(reconstruction(erosion(image, footprint), image, method="dilation"))
        layers.append(reconstruction(dilation(image, footprint), image, method="erosion"))
    return np.stack(layers, axis=2).astype(np.float32)


def standardised(columns: Float32[np.ndarray, "n D"]) -> Float32[np.ndarray, "n D"]:
    """Return columns of zero mean and unit deviation; constant columns become 0."""
    centred = columns - columns.mean(axis=0, dtype=np.float64)
    deviation = centred.std(axis=0)
    flat = deviation <= 1e-6 * np.abs(columns).max(axis=0)
    return np.where(flat, 0.0, centred / np.where(flat, 1.0, deviation)).astype(np.float32)


def once(imagery: Imagery, settings: Hashable, make: Callable[[], Made]) -> Made:
    """Return what `make` gives for an imagery and settings; made once per process, an array then read-only."""
    known = _made.setdefault(imagery, {})
    if settings not in known:
        known[settings] = made = make()
        if isinstance(made, np.ndarray):
            made.setflags(write=False)
    return known[settings]
