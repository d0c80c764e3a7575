"""Downloads MovieLens ml-latest-small from GroupLens, checked and all or nothing."""

from __future__ import annotations

import hashlib
import logging
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from crowd_sim.crowd.sources.places import MOVIELENS_FOLDER
from crowd_sim.errors import InputError
from crowd_sim.paths import exists, is_file
from crowd_sim.progress import Progress, quiet

URL = "https://files.grouplens.org/datasets/movielens/ml-latest-small.zip"
# of the edition of 2018-09-26 (978,202 bytes); TensorFlow Datasets lists the same (url_checksums/movielens.txt)
ZIP_SHA256 = "696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436"
FILE_SHA256 = {
    "ratings.csv": "aa289ca83157595d0df6aea1be6a4ded676ddc4385472e8313a8ed9805352646",
    "movies.csv": "5a5f32dd9bb3797b8e728a1b98958789d2b13f294a69fdfbc5727f8a9611aa07",
}
_KEPT = (*FILE_SHA256, "README.txt")


def fetch_movielens(folder: Path, progress: Progress = quiet) -> Path:
    """Puts ratings.csv, movies.csv and README.txt (the licence) into ``folder/ml-latest-small``.

    Returns at once if they are there and their SHA-256 are right. Otherwise the zip is downloaded, checked by its
    SHA-256, unpacked beside its place and renamed, so that the place holds all of it or nothing.

    Args:
        folder: where to put ml-latest-small; made if need be.
        progress: told how many kB there are.

    Returns:
        ``folder/ml-latest-small``.

    Raises:
        InputError: no internet, another file than expected, something else in that place, or a folder that cannot be
            written; the line says what to do.
    """
    place = folder / MOVIELENS_FOLDER
    if _is_right(place):
        return place
    if exists(place):
        raise InputError(str(place), None, "move it away first: it exists and is not the edition of 2018-09")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{MOVIELENS_FOLDER}-", dir=folder) as temporary:
            unpacked = Path(temporary) / MOVIELENS_FOLDER
            with zipfile.ZipFile(_download(Path(temporary), progress)) as archive:
                archive.extractall(temporary, [f"{MOVIELENS_FOLDER}/{name}" for name in _KEPT])
            unpacked.rename(place)
    except OSError as error:
        if not _is_right(place):  # else another process was first
            raise InputError(str(folder), None, f"a folder that can be written is needed ({error.strerror})") from error
    return place


@dataclass
class _Bar:
    """What pooch takes for a progress bar."""

    progress: Progress
    total: int = 0
    done: int = 0

    def update(self, n: int) -> None:
        self.done = min(self.done + n, self.total)
        self.progress("download", self.done // 1000, self.total // 1000, "kB")

    def reset(self) -> None:
        self.done = 0

    def close(self) -> None:
        pass


def _download(folder: Path, progress: Progress) -> Path:
    import pooch  # slow to import, rarely needed

    pooch.get_logger().setLevel(logging.WARNING)
    downloader, name = pooch.HTTPDownloader(progressbar=_Bar(progress)), f"{MOVIELENS_FOLDER}.zip"
    try:
        return Path(pooch.retrieve(URL, f"sha256:{ZIP_SHA256}", fname=name, path=folder, downloader=downloader))
    except (OSError, ValueError) as error:
        # requests' errors are OSErrors; pooch reports a wrong checksum as a ValueError
        what = "could not be downloaded" if isinstance(error, OSError) else "has another checksum than expected"
        todo = "download it on another machine, unpack it, and pass crowd.path=DIR or set CROWD_SIM_DATA=DIR"
        raise InputError(URL, None, f"{what} ({type(error).__name__}); {todo}") from error


def _is_right(place: Path) -> bool:
    return all(
        is_file(place / name) and hashlib.sha256((place / name).read_bytes()).hexdigest() == digest
        for name, digest in FILE_SHA256.items()
    )
