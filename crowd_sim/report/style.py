"""How every figure looks, and how it reaches the disk: one style, whatever the reader's own matplotlib settings are."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import matplotlib as mpl
import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import findfont, fontManager, get_font
from matplotlib.ft2font import FT2Font

from crowd_sim.characters import escaped, visible
from crowd_sim.errors import StorageError
from crowd_sim.files import write_bytes

COLUMN_WIDTH = 3.5
"""Width of a figure for one column of a paper, in inches; the 8 pt below are meant at this size."""
PAGE_WIDTH = 7.1
"""Width of a figure across both columns, in inches."""
DPI = 200

INK = "#222222"
MUTED = "#666666"
RULE = "#bbbbbb"
# Okabe and Ito's colours without the yellow, which vanishes on white: told apart with every common colour blindness.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")

_FONT = "DejaVu Sans"
"""It comes with matplotlib, so that a figure whose names it can write is the same everywhere."""
_OF_OTHER_SCRIPTS = (
    *(
        "Noto Sans",
        "Noto Sans CJK SC",
        "Noto Sans CJK JP",
        "Noto Sans CJK KR",
        "Noto Sans SC",
        "Noto Sans JP",
        "Noto Sans KR",
    ),
    *(
        "Noto Sans Arabic",
        "Noto Sans Hebrew",
        "Noto Sans Devanagari",
        "Noto Sans Bengali",
        "Noto Sans Tamil",
        "Noto Sans Thai",
    ),
    *("Noto Sans Telugu", "Noto Sans Gujarati", "Noto Sans Georgian", "Noto Sans Armenian", "Noto Sans Ethiopic"),
    *(
        "Noto Sans Khmer",
        "Noto Sans Symbols",
        "Noto Sans Symbols2",
        "Noto Emoji",
        "Symbola",
        "Segoe UI",
        "Segoe UI Emoji",
    ),
    *("Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Nirmala UI", "Leelawadee UI", "PingFang SC", "Hiragino Sans"),
    *("Apple SD Gothic Neo", "Geeza Pro", "Kohinoor Devanagari", "Arial Unicode MS", "WenQuanYi Micro Hei"),
    *("WenQuanYi Zen Hei", "Droid Sans Fallback", "FreeSans", "Code2000", "Unifont"),
)
"""Fonts that common systems have; those that this one has write what the first font cannot."""
_INSTALLED = frozenset(entry.name for entry in fontManager.ttflist)
_FONTS = [_FONT, *(name for name in _OF_OTHER_SCRIPTS if name in _INSTALLED)]

_RC: dict[str, object] = {
    "font.family": _FONTS,
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.labelsize": 8.5,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 8.5,
    "figure.constrained_layout.h_pad": 0.03,
    "figure.constrained_layout.w_pad": 0.03,
    "figure.labelsize": 8.5,
    "font.size": 8.0,
    "grid.color": "#e8e8e8",
    "grid.linewidth": 0.5,
    "legend.fontsize": 8.0,
    "legend.frameon": False,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "savefig.facecolor": "white",
    "text.color": INK,
    "xtick.color": INK,
    "xtick.labelsize": 8.0,
    "xtick.major.width": 0.6,
    "ytick.color": INK,
    "ytick.labelsize": 8.0,
    "ytick.major.width": 0.6,
    "axes.axisbelow": True,
}

# Starts from matplotlib's own defaults, not the user's matplotlibrc: the same table gives the same bytes everywhere.
styled = mpl.style.context(["default", _RC])
"""Decorator under which figures are built and saved; leaves matplotlib's settings as they were."""


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of ``width`` by ``height`` inches whose parts make room for each other."""
    return Figure(figsize=(width, height), layout="constrained")


def colours(count: int) -> list[str]:
    """``count`` colours: the palette as far as it reaches, an ordered perceptually even ramp beyond it."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    ramp = mpl.colormaps["viridis"]
    return [mpl.colors.to_hex(ramp(0.92 * i / (count - 1))) for i in range(count)]


def marker(index: int) -> str:
    """The marker of the ``index``-th category; they repeat after seven."""
    return MARKERS[index % len(MARKERS)]


def say(axes: Axes, text: str) -> None:
    """Write ``text`` in the middle of a panel that has nothing to show."""
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color=MUTED, wrap=True)


def drawable(name: str, *, parse_math: bool = True) -> str:
    """A name as it is, but for characters that none of the figures' fonts has, which are shown by their numbers.

    Args:
        name: as someone has given it.
        parse_math: whether matplotlib looks for mathematics where it is drawn.
    """
    shown = "".join(c if c.isascii() or _can_draw(c) else escaped(c) for c in visible(name))
    return shown.replace("$", r"\$") if parse_math else shown  # mathematics is what stands between two of them


@cache
def _fonts() -> list[FT2Font]:
    return [get_font(findfont(name)) for name in _FONTS]


@cache
def _can_draw(character: str) -> bool:
    return any(font.get_char_index(ord(character)) for font in _fonts())


@styled
def png(figure: Figure) -> bytes:
    """The figure as a PNG at 200 dpi; equal figures give equal bytes (no date, no software version inside)."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def write_atomically(path: Path, content: bytes) -> Path:
    """Write ``content`` to ``path`` so that a reader sees the old file or the new one, never half of one.

    Raises:
        StorageError: it cannot be written.
    """
    try:
        path.parent.mkdir(exist_ok=True)  # of a folder that was removed nothing is made anew
    except OSError as error:
        raise StorageError(path, error.strerror or str(error)) from error
    write_bytes(path, content)
    return path
