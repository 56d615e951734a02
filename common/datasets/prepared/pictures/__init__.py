"""Pictures in a prepared folder: 8-bit PNG, squashed to one size, black outside the ultrasound sector."""
