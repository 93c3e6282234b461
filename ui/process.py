"""Settings of the whole process, made where a program starts and nowhere else."""

from __future__ import annotations

import contextlib
import os
import warnings


def configure_threads() -> None:
    """Let idle threads of NumPy's and FAISS's libraries sleep; call it before NumPy is imported.

    By default they keep a core busy for milliseconds after each product or search, waiting for the
    next one, and a query's network has to share it with them.
    """
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "18")  # 2^18 ticks: a tenth of a millisecond
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def configure_images() -> None:
    """Set up Pillow and OpenCV for a program that decodes images in threads of its own."""
    import cv2
    from PIL import Image

    cv2.setNumThreads(1)
    Image.MAX_IMAGE_PIXELS = None  # `load_image` has a limit of its own
    # Complaints about EXIF blocks and palettes of images that can be used all the same.
    warnings.filterwarnings("ignore", module=r"PIL\.")


def raise_file_limit() -> None:
    """Let this process open as many files as the system allows it to; by default it is fewer.

    Each store that is joined has a dozen files open, and more of each kind of vectors with time.
    """
    try:
        import resource
    except ImportError:  # on Windows, which has no such limit
        return
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # macOS allows fewer than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
