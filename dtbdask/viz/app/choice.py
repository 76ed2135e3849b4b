"""What the visitor has chosen: regions and a range of time, the same on all pages."""

from __future__ import annotations

from typing import Any

import param


class Choice(param.Parameterized):
    """Regions and time of one session.

    Attributes
    ----------
    regions : list of int
        Indices; none means all.
    time_s : tuple of float
        From and to.
    shown : str
        What the brain is coloured by.
    seen : object
        The picture whose visible range is the cause of a change, and which shows it already.
    """

    regions = param.List(default=[], item_type=int)
    time_s = param.Range(default=(0.0, 1.0))
    shown: Any = param.Selector(default="", objects=[""])
    seen: object = None

    def toggle(self, *regions: int) -> None:
        """Choose regions, or no longer if all of them are chosen."""
        now = list(self.regions)
        if set(regions) <= set(now):
            self.regions = [region for region in now if region not in regions]
        else:
            self.regions = [*now, *(region for region in regions if region not in now)]
