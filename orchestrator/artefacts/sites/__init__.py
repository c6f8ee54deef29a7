"""Static sites: turn a folder of files into content with HTTP headers."""
