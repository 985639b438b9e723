"""The whole fleet on one machine: start, watch, show and stop it. Nothing here knows the business."""
