"""Line charts: which ones a report has, and where their lines, points and ticks stand."""
