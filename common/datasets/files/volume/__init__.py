"""Volumes from medical files: voxels, and how they lie in the patient."""
