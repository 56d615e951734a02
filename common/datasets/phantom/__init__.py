"""Drawn data: echocardiograms of several scanners, screens, and a second, simulated scanner."""
