"""The one library of cases: search, worklists, progress, statistics, thumbnails; in the same store as the labels."""
