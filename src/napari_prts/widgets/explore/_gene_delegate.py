"""Draws a gene's row: its name with the typed letters bold, its figures, its star."""

from __future__ import annotations

from qtpy.QtCore import QModelIndex, QRect, QSize, Qt
from qtpy.QtGui import QColor, QFont, QFontMetrics, QPainter, QPalette
from qtpy.QtWidgets import QApplication, QStyle, QStyledItemDelegate, QStyleOptionViewItem

from napari_prts.widgets.explore._gene_rows import NOTE, STAR

# Pixels: the star's place at the right end, the space left of a name, and above and below it.
STAR_WIDTH = 22
_MARGIN = 5
_AIR = 2


class GeneDelegate(QStyledItemDelegate):
    """Draws rows of :class:`~napari_prts.widgets.explore._gene_rows.GeneRows`.

    Attributes
    ----------
    typed : str
        What was typed.
    """

    typed = ""

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex) -> QSize:
        """Rows with room for the hand."""
        return QSize(80, option.fontMetrics.height() + 2 * _AIR)

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Draw one row."""
        if painter is None:
            return
        row = QStyleOptionViewItem(option)
        self.initStyleOption(row, index)
        name, row.text = row.text or "", ""
        widget = row.widget
        style = widget.style() if widget is not None else QApplication.style()
        if style is not None:
            style.drawControl(QStyle.ControlElement.CE_ItemViewItem, row, painter, widget)
        painter.save()
        painter.setPen(_pen(row))
        place = row.rect.adjusted(_MARGIN, 0, -STAR_WIDTH, 0)
        _draw_name(painter, place, name, marked(name, self.typed))
        painter.setFont(row.font)
        middle = Qt.AlignmentFlag.AlignVCenter
        painter.drawText(place, int(middle | Qt.AlignmentFlag.AlignRight), str(index.data(NOTE)))
        star = "★" if index.data(STAR) else "☆"
        painter.setOpacity(1.0 if index.data(STAR) else 0.35)
        painter.drawText(star_place(row.rect), int(Qt.AlignmentFlag.AlignCenter), star)
        painter.restore()


def star_place(row: QRect) -> QRect:
    """Where the star of a row is."""
    return QRect(row.right() - STAR_WIDTH + 1, row.top(), STAR_WIDTH, row.height())


def marked(name: str, typed: str) -> tuple[int, int]:
    """Find the letters of a name that were typed: begin and end, equal if there are none.

    Capitals and signs do not matter, as in the search.
    """
    places = [place for place, letter in enumerate(name) if letter.isalnum()]
    plain = "".join(name[place] for place in places).casefold()
    wanted = "".join(filter(str.isalnum, typed.casefold()))
    first = plain.find(wanted) if wanted else -1
    if first < 0 or len(plain) != len(places):
        return 0, 0
    return places[first], places[first + len(wanted) - 1] + 1


def _draw_name(painter: QPainter, place: QRect, name: str, bold: tuple[int, int]) -> None:
    left = place.left()
    for part, heavy in (
        (name[: bold[0]], False),
        (name[bold[0] : bold[1]], True),
        (name[bold[1] :], False),
    ):
        font = QFont(painter.font())
        font.setBold(heavy)
        painter.setFont(font)
        painter.drawText(
            QRect(left, place.top(), max(place.right() - left, 0), place.height()),
            int(Qt.AlignmentFlag.AlignVCenter),
            part,
        )
        left += QFontMetrics(font).horizontalAdvance(part)
    font = QFont(painter.font())
    font.setBold(False)
    painter.setFont(font)


def _pen(row: QStyleOptionViewItem) -> QColor:
    colour = row.palette.color(QPalette.ColorGroup.Active, QPalette.ColorRole.Text)
    if not row.state & QStyle.StateFlag.State_Enabled:
        colour.setAlphaF(0.4)
    return colour
