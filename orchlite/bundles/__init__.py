"""Bundles, from a ZIP or a folder: names, structure and content, inspection, packing, unpacking and storage. No rows, and no runs."""
