"""Fitting a network to BOLD: transforms, filters, the forecast-analysis cycle, scores."""
