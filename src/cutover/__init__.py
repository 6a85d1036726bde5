# Copyright: the ocpizza.cutover team
# GNU General Public License v3.0 or later (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the ocpizza.cutover collection and shows what it does. It knows the collection, never the reverse."""

__version__ = "0.1.0"
