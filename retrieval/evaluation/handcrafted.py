"""Handcrafted features, which deep ones are compared with.

They are histograms of colours, bags of words and Fisher vectors. The latter two describe images by
dense SIFT in a spatial pyramid (Lazebnik et al. 2006): the whole, its quarters and three bands.
What they learn, they learn from the training images alone.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from indexer.arrays import FloatArray, HalfArray, Pixels, one_blas_thread, unit_vector
from indexer.errors import ImageError
from indexer.images.decode import load_image
from indexer.progress import Progress, no_progress
from retrieval.evaluation.dense_sift import LONG_SIDE_PX, LocalDescriptors, describe_densely

PCA_DIMENSION = 80
SAMPLED_IMAGES = 500  # from which the vocabulary is learned
SAMPLED_DESCRIPTORS = 100_000  # for the mixture of Gaussians
SAMPLED_FOR_WORDS = 50_000
WORDS = 1_000
WORDS_STEP_PX, WORDS_SIZES_PX = 8, (4, 8)  # fewer than for Fisher vectors: it is the quick one
GAUSSIANS = 256
FISHER_STEP_PX = 4
MIXTURE_STEPS = 30  # of expectation maximisation, at most
LEAST_VARIANCE = 1e-4  # of a Gaussian: about a hundredth of what descriptors vary by
COLOUR_BINS = 8  # of each channel, in a histogram
CELLS = ((1, 1), (2, 2), (1, 3))  # columns and rows of each level of the pyramid


@dataclass(frozen=True)
class HandcraftedFeatures:
    """Vectors (N, D) of images; rows of images that `failed`, by path and reason, are zero."""

    vectors: FloatArray | HalfArray
    failed: list[tuple[str, str]]


Encoder = Callable[[Pixels], FloatArray | HalfArray]


def colour_histograms(
    paths: Sequence[Path],
    is_train: npt.NDArray[np.bool_],
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> HandcraftedFeatures:
    """Return joint histograms of red, green and blue (N, 512), see `colour_histogram`."""
    del is_train, seed  # nothing is learned, or chosen by chance
    return _encode_all(paths, colour_histogram, "Counting colours", progress)


def colour_histogram(pixels: Pixels) -> FloatArray:
    """Return the unit vector (512,) of the roots of a joint histogram of red, green and blue."""
    bins = (pixels >> 5).reshape(-1, 3).astype(np.int64)
    cells = bins @ np.array([COLOUR_BINS**2, COLOUR_BINS, 1])
    counts = np.bincount(cells, minlength=COLOUR_BINS**3)
    return unit_vector(np.sqrt(counts).astype(np.float32))


def bags_of_words(
    paths: Sequence[Path],
    is_train: npt.NDArray[np.bool_],
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> HandcraftedFeatures:
    """Return histograms of visual words (N, 8 · 1000), the roots of their shares in each cell.

    Words are the centres of k-means (Csurka et al. 2004); the root makes the linear kernel that of
    Hellinger (Vedaldi and Zisserman 2012).
    """
    from sklearn.cluster import MiniBatchKMeans

    def describe(pixels: Pixels) -> LocalDescriptors:
        return describe_densely(pixels, WORDS_STEP_PX, WORDS_SIZES_PX)

    projection, sample = _learn_projection(
        paths, is_train, describe, SAMPLED_FOR_WORDS, seed, progress
    )
    count = min(WORDS, len(sample))
    means = MiniBatchKMeans(count, batch_size=8192, n_init=1, max_iter=20, random_state=seed)
    words = means.fit(sample).cluster_centers_.astype(np.float32)
    offsets = (words**2).sum(axis=1) / 2

    def encode(pixels: Pixels) -> FloatArray:
        found = describe(pixels)
        nearest = (projection(found.vectors) @ words.T - offsets).argmax(axis=1)
        cells = [np.bincount(nearest[i], minlength=count) for i in _cells(found.centres)]
        shares = np.concatenate([cell / max(1, cell.sum()) for cell in cells])
        roots: FloatArray = np.sqrt(shares).astype(np.float32)
        return roots

    return _encode_all(paths, encode, "Counting visual words", progress)


def fisher_vectors(
    paths: Sequence[Path],
    is_train: npt.NDArray[np.bool_],
    *,
    seed: int = 0,
    progress: Progress = no_progress,
) -> HandcraftedFeatures:
    """Return improved Fisher vectors: power- and L2-normalised in each cell of the pyramid.

    Descriptors are reduced by PCA and modelled by a mixture of Gaussians (Perronnin, Sánchez and
    Mensink 2010; Sánchez et al. 2013), as many as in Chatfield et al. 2011. The vectors are
    (N, 8 · 256 · 161), float16.
    """
    from skimage import feature
    from sklearn.exceptions import ConvergenceWarning

    def describe(pixels: Pixels) -> LocalDescriptors:
        return describe_densely(pixels, FISHER_STEP_PX)

    projection, sample = _learn_projection(
        paths, is_train, describe, SAMPLED_DESCRIPTORS, seed, progress
    )
    progress("Learning the mixture of Gaussians", 0, 1)
    learn: Callable[..., Any] = feature.learn_gmm
    encode_cell: Callable[..., FloatArray] = feature.fisher_vector
    settings = {
        "random_state": seed,
        "init_params": "k-means++",
        "max_iter": MIXTURE_STEPS,
        "tol": 1e-2,
        "covariance_type": "diag",
        "reg_covar": LEAST_VARIANCE,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # so many steps are enough
        mixture = learn(sample, n_modes=min(GAUSSIANS, len(sample)), gm_args=settings)

    length = mixture.n_components * (2 * PCA_DIMENSION + 1)

    def encode(pixels: Pixels) -> HalfArray:
        found = describe(pixels)
        reduced = projection(found.vectors)
        cells = [
            encode_cell(reduced[i], mixture, improved=True, alpha=0.5)
            if len(i)
            else np.zeros(length)
            for i in _cells(found.centres)
        ]
        return np.concatenate(cells).astype(np.float16)

    return _encode_all(paths, encode, "Encoding Fisher vectors", progress)


def _learn_projection(
    paths: Sequence[Path],
    is_train: npt.NDArray[np.bool_],
    describe: Callable[[Pixels], LocalDescriptors],
    sampled: int,
    seed: int,
    progress: Progress,
) -> tuple[Callable[[FloatArray], FloatArray], FloatArray]:
    """Return PCA of descriptors as a function, and a sample (N, 80) of those of training images."""
    from sklearn.decomposition import PCA

    random = np.random.default_rng(seed)
    train = random.permutation(np.flatnonzero(is_train))[:SAMPLED_IMAGES]
    each = max(1, sampled // len(train))
    found = []
    described = _map_images(lambda pixels: describe(pixels).vectors, [paths[i] for i in train])
    for done, vectors in enumerate(described, 1):
        if not isinstance(vectors, str):
            found.append(random.permutation(vectors)[:each])
        progress("Sampling descriptors", done, len(train))
    sample = np.concatenate(found)
    pca = PCA(PCA_DIMENSION, random_state=seed).fit(sample)
    mean, axes = pca.mean_.astype(np.float32), pca.components_.T.astype(np.float32)

    def project(vectors: FloatArray) -> FloatArray:
        projected: FloatArray = (vectors - mean) @ axes
        return projected

    return project, project(sample)


def _encode_all(
    paths: Sequence[Path], encode: Encoder, step: str, progress: Progress
) -> HandcraftedFeatures:
    vectors = np.zeros((len(paths), 0), np.float32)
    failed = []
    with one_blas_thread():  # images run side by side
        for number, found in enumerate(_map_images(encode, paths)):
            if isinstance(found, str):
                failed.append((str(paths[number]), found))
            else:
                if not vectors.size:
                    vectors = np.zeros((len(paths), len(found)), found.dtype)
                vectors[number] = found
            progress(step, number + 1, len(paths), failed=len(failed))
    return HandcraftedFeatures(vectors, failed)


def _map_images(encode: Encoder, paths: Sequence[Path]) -> Iterator[FloatArray | HalfArray | str]:
    """Yield what `encode` makes of each image, or why it cannot be read."""

    def describe(path: Path) -> FloatArray | HalfArray | str:
        try:
            pixels = load_image(path, at_least=LONG_SIDE_PX).pixels
        except ImageError as error:
            return error.reason
        return encode(pixels)

    with ThreadPoolExecutor(os.cpu_count() or 2, "describe") as threads:
        yield from threads.map(describe, paths)


def _cells(centres: FloatArray) -> list[npt.NDArray[np.int64]]:
    """Return for each cell of the pyramid which centres (N, 2) lie in it."""
    cells = []
    for columns, rows in CELLS:
        column = np.minimum((centres[:, 0] * columns).astype(np.int64), columns - 1)
        row = np.minimum((centres[:, 1] * rows).astype(np.int64), rows - 1)
        cells += [np.flatnonzero(row * columns + column == i) for i in range(columns * rows)]
    return cells
