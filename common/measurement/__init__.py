"""From a scan to measurements: files as scanners and archives write them, segmented, measured and shown."""
