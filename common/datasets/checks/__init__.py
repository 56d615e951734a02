"""Quality of annotations: leaks, damage and implausible structures in prepared folders."""
