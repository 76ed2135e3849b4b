"""What the visitor has chosen: regions, a range of time, a moment; the same on all pages."""

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
    moment : int
        Of the film of the brain, from 1; 0 for all of the visible time.
    at_mm : tuple of float or None
        Where the slices of the brain meet.
    seen : object
        The picture whose visible range is the cause of a change, and which shows it already.
    """

    regions = param.List(default=[], item_type=int)
    time_s = param.Range(default=(0.0, 1.0))
    shown: Any = param.Selector(default="", objects=[""])
    moment = param.Integer(default=0, bounds=(0, None))
    at_mm = param.Tuple(default=None, length=3, allow_None=True)
    seen: object = None

    def toggle(self, *regions: int) -> None:
        """Choose regions, or no longer if all of them are chosen."""
        now = list(self.regions)
        if set(regions) <= set(now):
            self.regions = [region for region in now if region not in regions]
        else:
            self.regions = [*now, *(region for region in regions if region not in now)]

    def see(self, time_s: tuple[float, float] | None, seen: object = None) -> None:
        """Take a range of time for that of all pages, as far as there is anything in it.

        Parameters
        ----------
        time_s : tuple of float or None
            From and to, in any order.
        seen : object
            The picture that shows it already.
        """
        if time_s is None:
            return
        first, last = self.param.time_s.bounds
        low, high = (min(max(float(t), first), last) for t in sorted(time_s))
        apart = max(abs(low - self.time_s[0]), abs(high - self.time_s[1]))
        if high > low and apart > 1e-9 * (last - first):
            self.seen = seen
            self.time_s = (low, high)
