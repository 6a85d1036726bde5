# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws each pizza of the menu: a small SVG, always the same for the same name."""

import hashlib
import json
import math
from pathlib import Path
from typing import Dict, Iterator

TOPPINGS = {
    "basil": ("leaf", "#3f8a47"), "rocket": ("leaf", "#5c9a3b"), "parsley": ("leaf", "#4e9440"),
    "oregano": ("dot", "#5a7a35"), "olives": ("ring", "#2c2a2e"), "capers": ("dot", "#6c7c32"),
    "salami": ("disc", "#b0301f"), "ham": ("strip", "#e79a94"), "bacon": ("strip", "#c65b4b"),
    "mushrooms": ("disc", "#d9c6a8"), "anchovies": ("strip", "#7d838c"), "tuna": ("strip", "#c9a58a"),
    "mussels": ("leaf", "#34363f"), "prawns": ("ring", "#ef8f6b"), "squid": ("ring", "#efe3da"),
    "onion": ("ring", "#a4517c"), "egg": ("egg", "#f6b42c"), "artichokes": ("leaf", "#93a86a"),
    "peppers": ("strip", "#d2452c"), "courgettes": ("disc", "#8fb35c"), "aubergines": ("disc", "#5b3d63"),
    "cherry tomatoes": ("disc", "#d8372b"), "walnuts": ("dot", "#8a5a33"), "pine nuts": ("dot", "#e8cf97"),
    "potatoes": ("disc", "#ecd58a"), "chilli": ("strip", "#cf2318"), "gorgonzola": ("dot", "#6f86a0"),
    "garlic": ("dot", "#f7eed9"), "ricotta": ("disc", "#fbf6ea"), "goat": ("disc", "#fdfaf1"),
    "mozzarella": ("disc", "#fbf0cf"), "reblochon": ("disc", "#f3dca0"),
}  # fmt: skip
SHAPES = {
    "disc": '<circle r="9" fill="{c}"/>',
    "dot": '<circle r="3.5" fill="{c}"/>',
    "ring": '<circle r="6" fill="none" stroke="{c}" stroke-width="4"/>',
    "strip": '<rect x="-12" y="-3.5" width="24" height="7" rx="3" fill="{c}"/>',
    "leaf": '<path d="M-12 0q12-11 24 0q-12 11-24 0z" fill="{c}"/>',
    "egg": '<circle r="15" fill="#fffaf0"/><circle r="7" fill="{c}"/>',
}


def numbers(seed: str) -> Iterator[float]:
    """Even numbers from 0 to 1 that depend on nothing but the seed."""
    counter = 0
    while True:
        yield int.from_bytes(hashlib.sha256(f"{seed}/{counter}".encode()).digest()[:4], "big") / 2**32
        counter += 1


def draw(slug: str, description: str) -> str:
    number = numbers(slug)
    sauce = "#f4e3bd" if "tomato" not in description.lower() else "#c8432a"
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 200">',
        '<circle cx="100" cy="100" r="94" fill="#c98a4b"/>',
        '<circle cx="100" cy="100" r="88" fill="#dfa863"/>',
        f'<circle cx="100" cy="100" r="80" fill="{sauce}"/>',
    ]
    for index, name in enumerate(name for name in TOPPINGS if name in description.lower()):
        shape, colour = TOPPINGS[name]
        count = 1 if shape == "egg" else 14 if shape == "dot" else 7
        for position in range(count):
            turn = (position + 0.37 * index + 0.5 * next(number)) / count
            distance = 0 if shape == "egg" else 18 + 54 * next(number)
            x = 100 + distance * math.cos(turn * math.tau)
            y = 100 + distance * math.sin(turn * math.tau)
            parts.append(
                f'<g transform="translate({x:.1f} {y:.1f}) rotate({360 * next(number):.0f})">'
                f"{SHAPES[shape].format(c=colour)}</g>"
            )
    return "".join([*parts, "</svg>\n"])


def pictures(presets: Path) -> Dict[str, bytes]:
    pizzas = json.loads(presets.read_text(encoding="utf-8"))["pizza"].values()
    return {f"{pizza['slug']}.svg": draw(pizza["slug"], pizza["description"]).encode() for pizza in pizzas}
