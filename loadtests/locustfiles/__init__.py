"""Stories as Locust users, one file each; `story.py` is what they share."""
