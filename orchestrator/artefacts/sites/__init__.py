"""Static sites: from a folder of files to what is served, under which headers."""
